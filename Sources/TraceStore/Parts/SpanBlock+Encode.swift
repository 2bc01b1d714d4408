// SPDX-License-Identifier: Apache-2.0
// Writing one block of spans.

import Base
import Telemetry

/// Collects the rows of one block as far as they do not follow from `PartRows`.
struct BlockBuilder {
    private var names = StringColumn(), messages = StringColumn(), states = StringColumn()
    private var attributes = AttributeColumns()
    private var events = EventColumns()
    private var links = LinkColumns()
    private(set) var statuses: [UInt8] = []
    private(set) var resources: [UInt32] = []
    private(set) var scopes: [UInt32] = []
    private var flags: [UInt32] = []
    private var droppedAttributes: [UInt32] = []
    private var droppedEvents: [UInt32] = []
    private var droppedLinks: [UInt32] = []
    /// Of what varies in length.
    private(set) var byteCount = 0

    var rowCount: Int { statuses.count }

    /// - Parameters:
    ///   - all: the batch's arena.
    ///   - resource, scope: numbers in the part.
    mutating func add(
        _ batch: UnsafePointer<SpanBatch>, _ row: Int, _ all: UnsafeRawBufferPointer,
        resource: UInt32, scope: UInt32
    ) {
        func bytes(_ slice: ByteSlice) -> UnsafeRawBufferPointer {
            byteCount += Int(slice.count)
            return UnsafeRawBufferPointer(rebasing: all[slice.range])
        }
        names.add(bytes(batch.pointee.names[row]))
        messages.add(bytes(batch.pointee.statusMessages[row]))
        states.add(bytes(batch.pointee.traceStates[row]))
        attributes.add(bytes(batch.pointee.attributes[row]))
        events.add(bytes(batch.pointee.events[row]), start: batch.pointee.startNanos[row])
        links.add(bytes(batch.pointee.links[row]))
        statuses.append(batch.pointee.statusCodes[row])
        resources.append(resource)
        scopes.append(scope)
        flags.append(batch.pointee.flags[row])
        droppedAttributes.append(batch.pointee.droppedAttributes[row])
        droppedEvents.append(batch.pointee.droppedEvents[row])
        droppedLinks.append(batch.pointee.droppedLinks[row])
    }

    /// - Parameter range: the block's rows in the part.
    func encode(_ rows: PartRows, _ range: Range<Int>) -> EncodedBlock {
        var block = EncodedBlock(
            names: names.values, eventNames: events.names.values, columns: attributes.finish())
        block.write(.spanIDs) { for row in range { $0.u64(rows.spanIDs[row].rawValue) } }
        block.write(.traces) { rows.encodeTraces(range, into: &$0) }
        block.write(.parents) { rows.encodeParents(range, into: &$0) }
        block.write(.starts) { writer in
            var previous: Int64 = 0
            for row in range {
                writer.zigzag(rows.starts[row] &- previous)
                previous = rows.starts[row]
            }
        }
        block.write(.durations) { writer in
            for row in range { writer.zigzag(rows.ends[row] &- rows.starts[row]) }
        }
        block.write(.names) { names.encode(into: &$0) }
        block.write(.sources) { writer in
            NumberColumn.encode(Array(rows.kinds[range]), into: &writer)
            NumberColumn.encode(statuses, into: &writer)
            NumberColumn.encode(resources, into: &writer)
            NumberColumn.encode(scopes, into: &writer)
        }
        block.write(.flags) { writer in
            for column in [flags, droppedAttributes, droppedEvents, droppedLinks] {
                NumberColumn.encode(column, into: &writer)
            }
        }
        block.write(.texts) { writer in
            messages.encode(into: &writer)
            states.encode(into: &writer)
        }
        block.write(.tree) { rows.encodeTree(range, into: &$0) }
        block.write(.times) { rows.encodeTimes(range, into: &$0) }
        block.write(.layout) { attributes.encodeLayout(into: &$0) }
        var eventColumns: [AttributeColumns.Summary] = []
        var linkColumns: [AttributeColumns.Summary] = []
        if !events.isEmpty { block.write(.events) { eventColumns = events.encode(into: &$0) } }
        if !links.isEmpty { block.write(.links) { linkColumns = links.encode(into: &$0) } }
        block.eventColumns = eventColumns
        block.linkColumns = linkColumns
        return block
    }
}

/// What a block's frames and statistics are before they are placed in a part.
struct EncodedBlock {
    /// By `BlockPiece`.
    private(set) var pieces = [[UInt8]](repeating: [], count: BlockPiece.allCases.count)
    var names: [[UInt8]]
    var eventNames: [[UInt8]]
    var columns: [EncodedColumn]
    var eventColumns: [AttributeColumns.Summary] = []
    var linkColumns: [AttributeColumns.Summary] = []

    init(names: [[UInt8]], eventNames: [[UInt8]], columns: [EncodedColumn]) {
        self.names = names
        self.eventNames = eventNames
        self.columns = columns
    }

    subscript(piece: BlockPiece) -> [UInt8] { pieces[piece.rawValue] }

    /// Bytes of all frames.
    var byteCount: Int {
        pieces.reduce(0) { $0 + $1.count }
            + columns.reduce(0) { $0 + $1.bytes.count + $1.filter.count }
    }

    mutating func write(_ piece: BlockPiece, _ body: (inout ByteWriter) -> Void) {
        var writer = ByteWriter()
        body(&writer)
        pieces[piece.rawValue] = writer.bytes
    }
}

// SPDX-License-Identifier: Apache-2.0
// Writing one block of spans.

import Base
import Telemetry

/// What a block's frames and statistics are before they are placed in a part.
struct EncodedBlock {
    /// In the order of `BlockEntry.frames`.
    var frames: [[UInt8]]
    var names: [[UInt8]]
    var eventNames: [[UInt8]]
    var spanColumns: [AttributeColumns.Summary]
    var eventColumns: [AttributeColumns.Summary]
    var linkColumns: [AttributeColumns.Summary]

    /// - Parameters:
    ///   - batch: the rows, sorted.
    ///   - resources, scopes: numbers in the part of the batch's resources and scopes.
    init(_ batch: SpanBatch, resources: [UInt32], scopes: [UInt32]) {
        var names = StringColumn(), messages = StringColumn(), states = StringColumn()
        var attributes = AttributeColumns(), events = EventColumns(), links = LinkColumns()
        batch.arena.withUnsafeBytes { all in
            func bytes(_ slice: ByteSlice) -> UnsafeRawBufferPointer {
                UnsafeRawBufferPointer(rebasing: all[slice.range])
            }
            for row in 0..<batch.rowCount {
                names.add(bytes(batch.names[row]))
                messages.add(bytes(batch.statusMessages[row]))
                states.add(bytes(batch.traceStates[row]))
                attributes.add(bytes(batch.attributes[row]))
                events.add(bytes(batch.events[row]), start: batch.startNanos[row])
                links.add(bytes(batch.links[row]))
            }
        }
        var ids = ByteWriter(reserving: batch.rowCount * 32)
        for id in batch.traceIDs {
            ids.u64(id.high)
            ids.u64(id.low)
        }
        for id in batch.spanIDs { ids.u64(id.rawValue) }
        for id in batch.parentIDs { ids.u64(id.rawValue) }

        var core = ByteWriter()
        core.column { writer in
            var previous: Int64 = 0
            for start in batch.startNanos {
                writer.zigzag(start &- previous)
                previous = start
            }
        }
        core.column { writer in
            for (start, end) in zip(batch.startNanos, batch.endNanos) {
                writer.zigzag(end &- start)
            }
        }
        core.column { names.encode(into: &$0) }
        core.lengthPrefixed(batch.kinds)
        core.lengthPrefixed(batch.statusCodes)
        core.column { writer in
            for index in batch.rowResources { writer.varint(UInt64(resources[Int(index)])) }
        }
        core.column { writer in
            for index in batch.rowScopes { writer.varint(UInt64(scopes[Int(index)])) }
        }
        for column in [
            batch.flags, batch.droppedAttributes, batch.droppedEvents, batch.droppedLinks,
        ] {
            core.column { writer in for value in column { writer.varint(UInt64(value)) } }
        }
        core.column { messages.encode(into: &$0) }
        core.column { states.encode(into: &$0) }

        var attributeBytes = ByteWriter(), eventBytes = ByteWriter(), linkBytes = ByteWriter()
        spanColumns = attributes.finish(into: &attributeBytes)
        eventColumns = events.isEmpty ? [] : events.encode(into: &eventBytes)
        linkColumns = links.isEmpty ? [] : links.encode(into: &linkBytes)
        frames = [ids.bytes, core.bytes, attributeBytes.bytes, eventBytes.bytes, linkBytes.bytes]
        self.names = names.values
        eventNames = events.names.values
    }
}

extension ByteWriter {
    fileprivate mutating func column(_ body: (inout ByteWriter) -> Void) {
        var inner = ByteWriter()
        body(&inner)
        lengthPrefixed(inner.bytes)
    }
}

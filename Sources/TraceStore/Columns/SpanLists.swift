// SPDX-License-Identifier: Apache-2.0
// Events and links of a block's spans in columns.

import Base
import Telemetry

/// Events of all spans of a block:
///
///     per span varint: 0 none, 1 opaque, n + 1 = n events
///     varint opaqueCount, per opaque list varint count + bytes
///     per event: zigzag (time − start of the span) | per event varint dropped attributes
///     strings: event names | varint byteCount, AttributeColumns of all events
struct EventColumns {
    private(set) var names = StringColumn()
    private var counts = ByteWriter()
    private var opaque: [[UInt8]] = []
    private var times = ByteWriter()
    private var dropped = ByteWriter()
    private var attributes = AttributeColumns()
    private(set) var isEmpty = true

    /// Adds the event list of the next span.
    mutating func add(_ list: UnsafeRawBufferPointer, start: Int64) {
        guard !list.isEmpty else { return counts.varint(0) }
        isEmpty = false
        do throws(MalformedBytes) {
            try SpanEventCoding.check(list)
            var n = 0
            var reader = ByteReader(list)
            while !reader.isAtEnd {
                times.zigzag(try reader.i64() &- start)
                dropped.varint(UInt64(try reader.u32Varint()))
                names.add(try reader.lengthPrefixed())
                attributes.add(try reader.lengthPrefixed())
                n += 1
            }
            counts.varint(n + 1)
        } catch {
            counts.varint(1)
            opaque.append([UInt8](list))
        }
    }

    func encode(into writer: inout ByteWriter) -> [AttributeColumns.Summary] {
        writer.raw(counts.bytes)
        writer.varint(opaque.count)
        for list in opaque { writer.lengthPrefixed(list) }
        writer.raw(times.bytes)
        writer.raw(dropped.bytes)
        names.encode(into: &writer)
        var columns = ByteWriter()
        let summaries = attributes.encodeJoined(into: &columns)
        writer.lengthPrefixed(columns.bytes)
        return summaries
    }

    /// Decodes to one `SpanEventCoding` list per span, empty where not wanted; no list at all when no
    /// wanted span has any.
    static func decode(
        _ bytes: [UInt8], starts: [Int64], wanted: (Int) -> Bool
    ) throws(MalformedBytes) -> [[UInt8]] {
        let result = bytes.withUnsafeBytes { raw -> Result<[[UInt8]], MalformedBytes> in
            do throws(MalformedBytes) {
                var reader = ByteReader(raw)
                let layout = try ListLayout(&reader, spans: starts.count)
                guard layout.hasAny(wanted) else { return .success([]) }
                var times: [Int64] = []
                for _ in 0..<layout.items { times.append(try reader.zigzag()) }
                var dropped: [UInt32] = []
                for _ in 0..<layout.items { dropped.append(try reader.u32Varint()) }
                let names = try StringColumn(decoding: &reader, count: layout.items)
                let attributes = try layout.attributes(&reader, wanted)
                return .success(
                    layout.assemble(wanted) { writer, span, item in
                        writer.i64(times[item] &+ starts[span])
                        writer.varint(UInt64(dropped[item]))
                        writer.lengthPrefixed(names[item])
                        writer.lengthPrefixed(attributes[item])
                    })
            } catch { return .failure(error) }
        }
        return try result.get()
    }
}

/// Links of all spans of a block: counts and opaque lists as for events, then per link trace id
/// (u64 high, u64 low), u64 span id, u32 flags, varint dropped attributes; strings: trace states;
/// varint byteCount, AttributeColumns of all links.
struct LinkColumns {
    private var counts = ByteWriter()
    private var opaque: [[UInt8]] = []
    private var ids = ByteWriter()
    private var states = StringColumn()
    private var attributes = AttributeColumns()
    private(set) var isEmpty = true

    /// Adds the link list of the next span.
    mutating func add(_ list: UnsafeRawBufferPointer) {
        guard !list.isEmpty else { return counts.varint(0) }
        isEmpty = false
        do throws(MalformedBytes) {
            try SpanLinkCoding.check(list)
            var n = 0
            var reader = ByteReader(list)
            while !reader.isAtEnd {
                ids.raw(try reader.bytes(28))
                ids.varint(UInt64(try reader.u32Varint()))
                states.add(try reader.lengthPrefixed())
                attributes.add(try reader.lengthPrefixed())
                n += 1
            }
            counts.varint(n + 1)
        } catch {
            counts.varint(1)
            opaque.append([UInt8](list))
        }
    }

    func encode(into writer: inout ByteWriter) -> [AttributeColumns.Summary] {
        writer.raw(counts.bytes)
        writer.varint(opaque.count)
        for list in opaque { writer.lengthPrefixed(list) }
        writer.raw(ids.bytes)
        states.encode(into: &writer)
        var columns = ByteWriter()
        let summaries = attributes.encodeJoined(into: &columns)
        writer.lengthPrefixed(columns.bytes)
        return summaries
    }

    /// Decodes to one `SpanLinkCoding` list per span, empty where not wanted; no list at all when no
    /// wanted span has any.
    static func decode(
        _ bytes: [UInt8], spans: Int, wanted: (Int) -> Bool
    ) throws(MalformedBytes) -> [[UInt8]] {
        let result = bytes.withUnsafeBytes { raw -> Result<[[UInt8]], MalformedBytes> in
            do throws(MalformedBytes) {
                var reader = ByteReader(raw)
                let layout = try ListLayout(&reader, spans: spans)
                guard layout.hasAny(wanted) else { return .success([]) }
                var heads: [Range<Int>] = []
                for _ in 0..<layout.items {
                    let start = reader.offset
                    try reader.skip(28)
                    _ = try reader.u32Varint()
                    heads.append(start..<reader.offset)
                }
                let states = try StringColumn(decoding: &reader, count: layout.items)
                let attributes = try layout.attributes(&reader, wanted)
                return .success(
                    layout.assemble(wanted) { writer, _, item in
                        writer.raw(UnsafeRawBufferPointer(rebasing: raw[heads[item]]))
                        writer.lengthPrefixed(states[item])
                        writer.lengthPrefixed(attributes[item])
                    })
            } catch { return .failure(error) }
        }
        return try result.get()
    }
}

/// How many items each span has, and the lists that were kept as they are.
private struct ListLayout {
    /// Per span: 0 none, 1 opaque, n + 1.
    var counts: [Int] = []
    var opaque: [[UInt8]] = []
    /// Items of all spans.
    var items = 0

    init(_ reader: inout ByteReader, spans: Int) throws(MalformedBytes) {
        var opaqueSpans = 0
        counts.reserveCapacity(spans)
        for raw in try VarintColumn.decode(&reader, count: spans) {
            // Every item takes at least two more bytes.
            guard raw <= UInt64(reader.remaining) else { throw reader.malformed("\(raw) items") }
            let n = Int(raw)
            counts.append(n)
            if n == 1 { opaqueSpans += 1 }
            if n > 1 { items += n - 1 }
            guard items <= reader.remaining else { throw reader.malformed("\(items) items") }
        }
        let n = try reader.length(limit: reader.remaining, "number of opaque lists")
        guard n == opaqueSpans else { throw reader.malformed("\(opaqueSpans) opaque lists") }
        for _ in 0..<n { opaque.append([UInt8](try reader.lengthPrefixed())) }
    }

    /// Whether any wanted span has items.
    func hasAny(_ wanted: (Int) -> Bool) -> Bool {
        counts.indices.contains { counts[$0] > 0 && wanted($0) }
    }

    /// Attribute lists of the items of wanted spans; empty for the others.
    func attributes(
        _ reader: inout ByteReader, _ wanted: (Int) -> Bool
    ) throws(MalformedBytes) -> [[UInt8]] {
        let bytes = [UInt8](try reader.lengthPrefixed())
        guard reader.isAtEnd else { throw reader.malformed("the end of a frame") }
        let columns = try AttributeColumnsReader(joined: bytes, expected: items)
        var take = [Bool](repeating: false, count: items)
        var item = 0
        for (span, n) in counts.enumerated() where n > 1 {
            if wanted(span) { for i in item..<(item + n - 1) { take[i] = true } }
            item += n - 1
        }
        var lists = [[UInt8]](repeating: [], count: items)
        columns.forEachList({ take[$0] }) { lists[$0] = [UInt8]($1) }
        return lists
    }

    func assemble(
        _ wanted: (Int) -> Bool, _ write: (inout ByteWriter, _ span: Int, _ item: Int) -> Void
    ) -> [[UInt8]] {
        var item = 0, nextOpaque = 0
        return counts.enumerated().map { span, n in
            var writer = ByteWriter()
            if n == 1 {
                if wanted(span) { writer.raw(opaque[nextOpaque]) }
                nextOpaque += 1
            } else if n > 1 {
                if wanted(span) {
                    for i in item..<(item + n - 1) { write(&writer, span, i) }
                }
                item += n - 1
            }
            return writer.bytes
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
// The values at one place of one template.

import Base
import Telemetry

/// Values at one place of one template, in the order of their rows; see `LogFormat`.
enum ValueColumn {
    /// - Parameters:
    ///   - values: slices of `text`, one at least and no more than `room` is for.
    ///   - ids: of the values' rows, asked for when a value may be one; or empty.
    static func encode(
        _ column: ValueSlots, _ text: UnsafeRawBufferPointer,
        ids: () -> [RowIDs], _ room: ValueSurvey, into out: inout ByteWriter
    ) {
        let values = UnsafeBufferPointer(start: column.slices, count: column.count)
        if let coding = identifierCoding(values, text, ids) {
            out.u8(coding)
            return
        }
        func bytes(_ slice: ByteSlice) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(rebasing: text[slice.range])
        }
        let facts = values.count > 1 ? room.look(at: column, text) : nil
        guard let facts, !facts.fitsDictionary || facts.distinctCount > 1 else {
            out.u8(LogFormat.Value.constant)
            out.lengthPrefixed(bytes(values[0]))
            return
        }
        let dictionaryBytes =
            facts.fitsDictionary ? values.count + facts.distinctBytes : Int.max
        let isSame = facts.leastCount == facts.mostCount
        if facts.isDecimal, facts.mostCount <= LogFormat.Value.maxDigits,
            !facts.isPadded || isSame
        {
            let cost = room.costs(values.count)
            if dictionaryBytes > min(cost.plain, cost.delta) {
                let isDelta = cost.delta < cost.plain
                out.u8(isDelta ? LogFormat.Value.deltas : LogFormat.Value.numbers)
                out.u8(facts.isPadded ? UInt8(truncatingIfNeeded: facts.mostCount) : 0)
                out.raw(room.varints(values.count, isDelta: isDelta))
                return
            }
        } else if facts.isHex, isSame, facts.mostCount >= 8, facts.mostCount % 2 == 0,
            dictionaryBytes > values.count * facts.mostCount / 2
        {
            out.u8(LogFormat.Value.hex)
            out.varint(facts.mostCount / 2)
            for value in values { appendBinary(bytes(value), &out.bytes) }
            return
        }
        if dictionaryBytes < facts.textBytes + values.count {
            out.u8(LogFormat.Value.dictionary)
            out.varint(facts.distinctCount)
            for value in room.distinct(facts) { out.lengthPrefixed(bytes(value)) }
            out.raw(room.indexBytes(values.count))
            return
        }
        out.u8(LogFormat.Value.strings)
        out.bytes.reserveCapacity(out.count + facts.textBytes + values.count)
        for value in values { out.varint(UInt64(value.count)) }
        for value in values { out.raw(bytes(value)) }
    }

    /// Whether the values are the text of the rows' trace or span ids, which were lifted out of them.
    private static func identifierCoding(
        _ values: UnsafeBufferPointer<ByteSlice>, _ text: UnsafeRawBufferPointer,
        _ ids: () -> [RowIDs]
    ) -> UInt8? {
        guard let first = values.first, first.count == 32 || first.count == 16 else { return nil }
        let ids = ids()
        guard values.count == ids.count else { return nil }
        let isTrace = first.count == 32
        for (value, id) in zip(values, ids) {
            let digits = UnsafeRawBufferPointer(rebasing: text[value.range])
            if isTrace ? !id.isTraceText(digits) : !id.isSpanText(digits) { return nil }
        }
        return isTrace ? LogFormat.Value.traceID : LogFormat.Value.spanID
    }

    /// - Parameter hex: lower-case digits, of whole bytes and eight at least.
    private static func appendBinary(_ hex: UnsafeRawBufferPointer, _ out: inout [UInt8]) {
        func nibble(_ byte: UInt8) -> UInt8 {
            byte < UInt8(ascii: "a") ? byte &- UInt8(ascii: "0") : byte &- UInt8(ascii: "a") &+ 10
        }
        var i = 0
        while i &+ 8 <= hex.count {
            let digits = hex.loadUnaligned(fromByteOffset: i, as: UInt64.self).littleEndian
            withUnsafeBytes(of: EightDigits.bytes(digits).littleEndian) {
                out.append(contentsOf: $0)
            }
            i &+= 8
        }
        while i < hex.count {
            out.append(nibble(hex[i]) &<< 4 | nibble(hex[i &+ 1]))
            i &+= 2
        }
    }
}

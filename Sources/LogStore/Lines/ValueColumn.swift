// SPDX-License-Identifier: Apache-2.0
// The values at one place of one template.

import Base
import Telemetry

/// Values at one place of one template, in the order of their rows; see `LogFormat`.
enum ValueColumn {
    /// What is known of values before their coding is chosen.
    private struct Survey {
        var isDecimal = true
        var isPadded = false
        var isHex = true
        var leastCount = Int.max
        var mostCount = 0
        /// Distinct values in order of appearance, as long as they fit a byte.
        var distinct: [ByteSlice] = []
        var indices: [UInt8] = []
        var fitsDictionary = true
        var textBytes = 0
    }

    /// - Parameters:
    ///   - values: slices of `text`, one at least.
    ///   - ids: of the values' rows, or empty.
    static func encode(
        _ values: [ByteSlice], _ text: UnsafeRawBufferPointer, ids: [RowIDs],
        into out: inout ByteWriter
    ) {
        if let coding = identifierCoding(values, text, ids) {
            out.u8(coding)
            return
        }
        let survey = survey(values, text)
        func bytes(_ slice: ByteSlice) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(rebasing: text[slice.range])
        }
        if survey.fitsDictionary, survey.distinct.count == 1 {
            out.u8(LogFormat.Value.constant)
            out.lengthPrefixed(bytes(values[0]))
            return
        }
        let dictionaryBytes =
            survey.fitsDictionary
            ? survey.distinct.reduce(values.count) { $0 + Int($1.count) + 1 } : Int.max
        let isSame = survey.leastCount == survey.mostCount
        if survey.isDecimal, survey.mostCount <= LogFormat.Value.maxDigits,
            !survey.isPadded || isSame
        {
            let numbers = values.map { decimal(bytes($0)) }
            let cost = costs(numbers)
            if dictionaryBytes > min(cost.plain, cost.delta) {
                write(
                    numbers, isDelta: cost.delta < cost.plain, survey.isPadded, survey.mostCount,
                    &out)
                return
            }
        } else if survey.isHex, isSame, survey.mostCount >= 8, survey.mostCount % 2 == 0,
            dictionaryBytes > values.count * survey.mostCount / 2
        {
            out.u8(LogFormat.Value.hex)
            out.varint(survey.mostCount / 2)
            for value in values { appendBinary(bytes(value), &out.bytes) }
            return
        }
        if dictionaryBytes < survey.textBytes + values.count {
            out.u8(LogFormat.Value.dictionary)
            out.varint(survey.distinct.count)
            for value in survey.distinct { out.lengthPrefixed(bytes(value)) }
            out.raw(survey.indices)
            return
        }
        out.u8(LogFormat.Value.strings)
        for value in values { out.varint(UInt64(value.count)) }
        for value in values { out.raw(bytes(value)) }
    }

    /// Whether the values are the text of the rows' trace or span ids, which were lifted out of them.
    private static func identifierCoding(
        _ values: [ByteSlice], _ text: UnsafeRawBufferPointer, _ ids: [RowIDs]
    ) -> UInt8? {
        guard values.count == ids.count, let first = values.first,
            first.count == 32 || first.count == 16
        else { return nil }
        let isTrace = first.count == 32
        for (value, id) in zip(values, ids) {
            let digits = UnsafeRawBufferPointer(rebasing: text[value.range])
            if isTrace ? !id.isTraceText(digits) : !id.isSpanText(digits) { return nil }
        }
        return isTrace ? LogFormat.Value.traceID : LogFormat.Value.spanID
    }

    private static func survey(
        _ values: [ByteSlice], _ text: UnsafeRawBufferPointer
    ) -> Survey {
        var survey = Survey()
        survey.indices.reserveCapacity(values.count)
        var table = DictionaryTable()
        for value in values {
            let bytes = UnsafeRawBufferPointer(rebasing: text[value.range])
            survey.textBytes &+= bytes.count
            survey.leastCount = min(survey.leastCount, bytes.count)
            survey.mostCount = max(survey.mostCount, bytes.count)
            if survey.isHex || survey.isDecimal { look(at: bytes, &survey) }
            guard survey.fitsDictionary else { continue }
            if let index = table.index(of: value, text, &survey.distinct) {
                survey.indices.append(index)
            } else {
                survey.fitsDictionary = false
            }
        }
        return survey
    }

    @inline(__always)
    private static func look(at bytes: UnsafeRawBufferPointer, _ survey: inout Survey) {
        if bytes.count > 1, bytes[0] == UInt8(ascii: "0") { survey.isPadded = true }
        for byte in bytes {
            if byte &- UInt8(ascii: "0") < 10 { continue }
            survey.isDecimal = false
            if byte &- UInt8(ascii: "a") >= 6 {
                survey.isHex = false
                return
            }
        }
    }

    /// - Parameter bytes: up to 18 digits.
    private static func decimal(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        bytes.reduce(0) { $0 &* 10 &+ UInt64($1 &- UInt8(ascii: "0")) }
    }

    /// Bytes that numbers and their differences take.
    private static func costs(_ numbers: [UInt64]) -> (plain: Int, delta: Int) {
        var plain = 0, delta = 0
        var previous: UInt64 = 0
        for number in numbers {
            plain &+= ByteWriter.varintCount(number)
            delta &+= ByteWriter.varintCount(
                ByteWriter.zigzag(Int64(bitPattern: number &- previous)))
            previous = number
        }
        return (plain, delta)
    }

    private static func write(
        _ numbers: [UInt64], isDelta: Bool, _ isPadded: Bool, _ width: Int,
        _ out: inout ByteWriter
    ) {
        out.u8(isDelta ? LogFormat.Value.deltas : LogFormat.Value.numbers)
        out.u8(isPadded ? UInt8(truncatingIfNeeded: width) : 0)
        var previous: UInt64 = 0
        for number in numbers {
            out.varint(isDelta ? ByteWriter.zigzag(Int64(bitPattern: number &- previous)) : number)
            previous = number
        }
    }

    private static func appendBinary(_ hex: UnsafeRawBufferPointer, _ out: inout [UInt8]) {
        func nibble(_ byte: UInt8) -> UInt8 {
            byte < UInt8(ascii: "a") ? byte &- UInt8(ascii: "0") : byte &- UInt8(ascii: "a") &+ 10
        }
        for i in stride(from: 0, to: hex.count, by: 2) {
            out.append(nibble(hex[i]) &<< 4 | nibble(hex[i &+ 1]))
        }
    }
}

/// Numbers up to 256 distinct values.
private struct DictionaryTable {
    /// Number + 1; 0 = free.
    private var slots = [UInt16](repeating: 0, count: 1024)

    /// Number of a value, which joins `distinct` when it is new; nil when that is full.
    mutating func index(
        of value: ByteSlice, _ text: UnsafeRawBufferPointer, _ distinct: inout [ByteSlice]
    ) -> UInt8? {
        let bytes = UnsafeRawBufferPointer(rebasing: text[value.range])
        if let last = distinct.last, distinct.count == 1,
            equalBytes(UnsafeRawBufferPointer(rebasing: text[last.range]), bytes)
        {
            return 0
        }
        if distinct.isEmpty {
            add(value, bytes, &distinct)
            return 0
        }
        var slot = Int(truncatingIfNeeded: hash64(bytes)) & 1023
        while slots[slot] != 0 {
            let number = Int(slots[slot]) - 1
            if equalBytes(UnsafeRawBufferPointer(rebasing: text[distinct[number].range]), bytes) {
                return UInt8(truncatingIfNeeded: number)
            }
            slot = (slot + 1) & 1023
        }
        if distinct.count == LogFormat.Value.maxDictionary { return nil }
        distinct.append(value)
        slots[slot] = UInt16(distinct.count)
        return UInt8(truncatingIfNeeded: distinct.count - 1)
    }

    private mutating func add(
        _ value: ByteSlice, _ bytes: UnsafeRawBufferPointer, _ distinct: inout [ByteSlice]
    ) {
        distinct.append(value)
        slots[Int(truncatingIfNeeded: hash64(bytes)) & 1023] = 1
    }
}

// SPDX-License-Identifier: Apache-2.0
// Tests the values at one place of one template without writing them out.

import Base

/// What a value must look like for a needle to lie across it.
enum ValueCondition {
    case equals, prefix, suffix, contains

    @inline(__always)
    func holds(_ text: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
        guard text.count <= value.count else { return false }
        return switch self {
        case .equals: text.count == value.count && sameBytes(text, value)
        case .prefix: sameBytes(text, UnsafeRawBufferPointer(rebasing: value[..<text.count]))
        case .suffix:
            sameBytes(
                text, UnsafeRawBufferPointer(rebasing: value[(value.count - text.count)...]))
        case .contains: find(text, in: value) != nil
        }
    }
}

/// Which rows of a template satisfy a condition.
enum ValueHits {
    case none, all
    case some([Bool])
}

/// A column of values, found but not decoded; see `LogFormat`.
struct ValueView {
    let kind: UInt8
    /// Offset of the column in the block's lines.
    let start: Int
    /// Values of the column.
    let count: Int
    /// What follows the kind, up to the end of the column.
    private let body: UnsafeRawBufferPointer
    /// Of strings, where their text begins in `body`.
    private var textStart = 0

    /// What follows the kind.
    var values: ByteReader { ByteReader(body) }
    /// The text of strings.
    var text: ByteReader { ByteReader(UnsafeRawBufferPointer(rebasing: body[textStart...])) }

    /// Takes a column of `n` values off `reader`.
    ///
    /// - Complexity: O(bytes / 8) at most. Numbers and indices are checked when they are read.
    init(_ reader: inout ByteReader, _ n: Int) throws(MalformedBytes) {
        start = reader.offset
        count = n
        kind = try reader.u8()
        let first = reader.offset
        switch kind {
        case LogFormat.Value.constant: _ = try reader.lengthPrefixed()
        case LogFormat.Value.dictionary:
            let values = try reader.length(limit: LogFormat.Value.maxDictionary, "values")
            for _ in 0..<values { _ = try reader.lengthPrefixed() }
            try reader.skip(n)
        case LogFormat.Value.strings:
            let total = try reader.sumOfVarints(n)
            textStart = reader.offset - first
            try reader.skip(total)
        case LogFormat.Value.numbers, LogFormat.Value.deltas:
            _ = try reader.u8()
            try reader.skipVarints(n)
        case LogFormat.Value.hex:
            let width = try reader.length(limit: reader.remaining, "bytes of a value")
            let (total, overflow) = n.multipliedReportingOverflow(by: width)
            guard !overflow else { throw reader.malformed("bytes of values") }
            try reader.skip(total)
        case LogFormat.Value.traceID, LogFormat.Value.spanID: break
        default: throw reader.malformed("kind of a value column")
        }
        body = UnsafeRawBufferPointer(
            start: reader.base + first, count: reader.offset &- first)
    }

    /// Whether values are ids of their rows.
    var needsIDs: Bool { kind == LogFormat.Value.traceID || kind == LogFormat.Value.spanID }

    /// - Parameters:
    ///   - text: what the values are compared with.
    ///   - ids: of the column's rows, in order; asked for when `needsIDs`.
    func hits(
        _ condition: ValueCondition, _ text: UnsafeRawBufferPointer, ids: () throws -> [RowIDs]
    ) throws -> ValueHits {
        var reader = ByteReader(body)
        switch kind {
        case LogFormat.Value.constant:
            return condition.holds(text, try reader.lengthPrefixed()) ? .all : .none
        case LogFormat.Value.dictionary: return try inDictionary(condition, text, &reader)
        case LogFormat.Value.strings: return try inStrings(condition, text, &reader)
        case LogFormat.Value.numbers, LogFormat.Value.deltas:
            return try inNumbers(condition, text, &reader)
        case LogFormat.Value.hex: return try inHex(condition, text, &reader)
        default: return try inIDs(condition, text, try ids())
        }
    }

    /// Adds the letters of values that have digits; numbers have none. Others go to `word`: each at
    /// least once.
    func survey(
        _ letters: inout LetterSurvey, _ word: (UnsafeRawBufferPointer) -> Void
    ) throws(MalformedBytes) {
        var reader = ByteReader(body)
        func take(_ value: UnsafeRawBufferPointer) {
            if value.contains(where: { $0 &- UInt8(ascii: "0") < 10 }) {
                letters.add(value)
            } else {
                word(value)
            }
        }
        switch kind {
        case LogFormat.Value.constant: take(try reader.lengthPrefixed())
        case LogFormat.Value.dictionary:
            let values = try reader.length(limit: LogFormat.Value.maxDictionary, "values")
            for _ in 0..<values { take(try reader.lengthPrefixed()) }
        case LogFormat.Value.strings:
            var lengths = reader
            try reader.skipVarints(count)
            for _ in 0..<count {
                take(try reader.bytes(try lengths.length(limit: reader.remaining, "length")))
            }
        case LogFormat.Value.hex:
            letters.add(
                lowerHexDigits: 2 * (try reader.length(limit: reader.remaining, "bytes")))
        case LogFormat.Value.traceID: letters.add(lowerHexDigits: 32)
        case LogFormat.Value.spanID: letters.add(lowerHexDigits: 16)
        default: break
        }
    }

    private func inDictionary(
        _ condition: ValueCondition, _ text: UnsafeRawBufferPointer, _ reader: inout ByteReader
    ) throws(MalformedBytes) -> ValueHits {
        let values = try reader.length(limit: LogFormat.Value.maxDictionary, "values")
        var wanted: [Bool] = []
        for _ in 0..<values { wanted.append(condition.holds(text, try reader.lengthPrefixed())) }
        guard wanted.contains(true) else { return .none }
        let indices = try reader.bytes(count)
        var hits = [Bool](repeating: false, count: count)
        for row in 0..<count {
            let index = Int(indices[row])
            guard index < wanted.count else { throw reader.malformed("number of a value") }
            hits[row] = wanted[index]
        }
        return .some(hits)
    }

    private func inStrings(
        _ condition: ValueCondition, _ text: UnsafeRawBufferPointer, _ reader: inout ByteReader
    ) throws(MalformedBytes) -> ValueHits {
        var lengths = reader
        try reader.skipVarints(count)
        let all = try reader.bytes(reader.remaining)
        if find(text, in: all) == nil { return .none }
        var hits = [Bool](repeating: false, count: count)
        var isAny = false
        var offset = 0
        for row in 0..<count {
            let length = try lengths.length(limit: all.count - offset, "length of a value")
            if length >= text.count {
                let value = UnsafeRawBufferPointer(rebasing: all[offset..<(offset + length)])
                hits[row] = condition.holds(text, value)
                isAny = isAny || hits[row]
            }
            offset += length
        }
        return isAny ? .some(hits) : .none
    }

    private func inNumbers(
        _ condition: ValueCondition, _ text: UnsafeRawBufferPointer, _ reader: inout ByteReader
    ) throws(MalformedBytes) -> ValueHits {
        let width = Int(try reader.u8())
        guard width <= LogFormat.Value.maxDigits else {
            throw reader.malformed("at most \(LogFormat.Value.maxDigits) digits")
        }
        guard let test = NumberTest(condition, text, width: width) else { return .none }
        if let least = test.leastHolding {
            return try inWrittenNumbers(text, least, width, &reader)
        }
        var hits = [Bool](repeating: false, count: count)
        var isAny = false
        let isDelta = kind == LogFormat.Value.deltas
        var number: UInt64 = 0
        for row in 0..<count {
            if isDelta {
                number = number &+ UInt64(bitPattern: try reader.zigzag())
            } else {
                number = try reader.varint()
            }
            if test.holds(number) {
                hits[row] = true
                isAny = true
            }
        }
        return isAny ? .some(hits) : .none
    }

    /// Writes numbers one after the other and searches them as one text: for a needle that may lie
    /// anywhere in their digits.
    private func inWrittenNumbers(
        _ text: UnsafeRawBufferPointer, _ least: UInt64, _ width: Int, _ reader: inout ByteReader
    ) throws(MalformedBytes) -> ValueHits {
        let capacity = count * 21 + 32
        let memory = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
        defer { memory.deallocate() }
        var out = LineBuffer(memory, capacity: capacity)
        var ends: [Int] = []
        ends.reserveCapacity(count)
        let isDelta = kind == LogFormat.Value.deltas
        var number: UInt64 = 0
        for _ in 0..<count {
            if isDelta {
                number = number &+ UInt64(bitPattern: try reader.zigzag())
            } else {
                number = try reader.varint()
            }
            if number >= least {
                try out.append(number, width: width)
                // No needle of digits reaches over it.
                try out.appendSeparator()
            }
            ends.append(out.count)
        }
        let all = UnsafeRawBufferPointer(start: memory, count: out.count)
        var hits: [Bool]?
        var position = 0, row = 0
        while position < all.count {
            let rest = UnsafeRawBufferPointer(rebasing: all[position...])
            guard let found = find(text, in: rest) else { break }
            while ends[row] <= position &+ found { row &+= 1 }
            if hits == nil { hits = [Bool](repeating: false, count: count) }
            hits?[row] = true
            position = ends[row]
        }
        return hits.map { .some($0) } ?? .none
    }

    private func inHex(
        _ condition: ValueCondition, _ text: UnsafeRawBufferPointer, _ reader: inout ByteReader
    ) throws(MalformedBytes) -> ValueHits {
        let width = try reader.length(limit: reader.remaining, "bytes of a value")
        let all = try reader.bytes(reader.remaining)
        guard text.count <= 2 * width, text.allSatisfy({ isLowerHex($0) }),
            condition != .equals || text.count == 2 * width
        else { return .none }
        // The needle's whole bytes, as they lie when it begins with the first half of a byte and
        // with the second.
        if text.count >= 4 {
            let isThere = [0, 1].contains { packedHex(text, from: $0).isFound(in: all) }
            if !isThere { return .none }
        }
        return hits(condition, text, byteCount: width) { row in
            UnsafeRawBufferPointer(rebasing: all[(row * width)..<((row + 1) * width)])
        }
    }

    private func inIDs(
        _ condition: ValueCondition, _ text: UnsafeRawBufferPointer, _ ids: [RowIDs]
    ) throws -> ValueHits {
        let isTrace = kind == LogFormat.Value.traceID
        let width = isTrace ? 16 : 8
        guard ids.count == count else {
            throw ByteReader(body).malformed("ids of the rows")
        }
        guard text.count <= 2 * width, text.allSatisfy({ isLowerHex($0) }) else { return .none }
        if text.count == 2 * width {
            // All conditions ask for the whole id.
            var found = [Bool](repeating: false, count: count)
            let id = packedHex(text, from: 0).bytes.withUnsafeBytes { bytes in
                (
                    UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                    UInt64(
                        bigEndian: bytes.loadUnaligned(
                            fromByteOffset: bytes.count - 8, as: UInt64.self))
                )
            }
            var isAny = false
            for row in 0..<count
            where isTrace
                ? ids[row].traceHigh == id.0 && ids[row].traceLow == id.1 : ids[row].span == id.0
            {
                found[row] = true
                isAny = true
            }
            return isAny ? .some(found) : .none
        }
        if condition == .equals { return .none }
        if text.count >= 4 {
            var bytes: [UInt8] = []
            bytes.reserveCapacity(count * width)
            for id in ids {
                withUnsafeBytes(of: (isTrace ? id.traceHigh : id.span).bigEndian) {
                    bytes.append(contentsOf: $0)
                }
                if isTrace {
                    withUnsafeBytes(of: id.traceLow.bigEndian) { bytes.append(contentsOf: $0) }
                }
            }
            let isThere = bytes.withUnsafeBytes { bytes in
                [0, 1].contains { packedHex(text, from: $0).isFound(in: bytes) }
            }
            if !isThere { return .none }
        }
        var room: (UInt64, UInt64) = (0, 0)
        return withUnsafeMutableBytes(of: &room) { room in
            hits(condition, text, byteCount: width) { row in
                let id = ids[row]
                room.storeBytes(of: (isTrace ? id.traceHigh : id.span).bigEndian, as: UInt64.self)
                room.storeBytes(of: id.traceLow.bigEndian, toByteOffset: 8, as: UInt64.self)
                return UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<width])
            }
        }
    }

    /// Tests binary values in their text form.
    private func hits(
        _ condition: ValueCondition, _ text: UnsafeRawBufferPointer, byteCount: Int,
        _ value: (Int) -> UnsafeRawBufferPointer
    ) -> ValueHits {
        var hits = [Bool](repeating: false, count: count)
        var isAny = false
        withUnsafeTemporaryAllocation(byteCount: max(2 * byteCount, 1), alignment: 1) { digits in
            for row in 0..<count {
                writeHex(value(row), digits)
                let text = condition.holds(
                    text, UnsafeRawBufferPointer(rebasing: digits[..<(2 * byteCount)]))
                hits[row] = text
                isAny = isAny || text
            }
        }
        return isAny ? .some(hits) : .none
    }
}

@inline(__always)
func isLowerHex(_ byte: UInt8) -> Bool {
    byte &- UInt8(ascii: "0") < 10 || byte &- UInt8(ascii: "a") < 6
}

/// Writes two lower-case hexadecimal digits for each byte; `out` has room.
@inline(__always)
private func writeHex(_ bytes: UnsafeRawBufferPointer, _ out: UnsafeMutableRawBufferPointer) {
    for index in 0..<bytes.count {
        let high = bytes[index] &>> 4, low = bytes[index] & 15
        out[2 &* index] = high < 10 ? high &+ UInt8(ascii: "0") : high &+ (UInt8(ascii: "a") &- 10)
        out[2 &* index &+ 1] =
            low < 10 ? low &+ UInt8(ascii: "0") : low &+ (UInt8(ascii: "a") &- 10)
    }
}

/// Whole bytes of a hexadecimal text.
private struct PackedHex {
    var bytes: [UInt8]
    func isFound(in all: UnsafeRawBufferPointer) -> Bool {
        bytes.isEmpty || bytes.withUnsafeBytes { find($0, in: all) } != nil
    }
}

/// - Parameter text: lower-case hexadecimal digits.
private func packedHex(_ text: UnsafeRawBufferPointer, from start: Int) -> PackedHex {
    func nibble(_ byte: UInt8) -> UInt8 {
        byte < UInt8(ascii: "a") ? byte &- UInt8(ascii: "0") : byte &- UInt8(ascii: "a") &+ 10
    }
    var bytes: [UInt8] = []
    var index = start
    while index + 2 <= text.count {
        bytes.append(nibble(text[index]) &<< 4 | nibble(text[index + 1]))
        index += 2
    }
    return PackedHex(bytes: bytes)
}

extension ByteReader {
    /// Passes over `n` varints, eight bytes at a time; whoever reads them checks their lengths.
    mutating func skipVarints(_ n: Int) throws(MalformedBytes) {
        var left = n
        while left >= 8, remaining >= 8 {
            let word = base.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            left &-= (~word & 0x8080_8080_8080_8080).nonzeroBitCount
            offset &+= 8
        }
        while left > 0 {
            guard offset < count else { throw malformed("varint") }
            if base.load(fromByteOffset: offset, as: UInt8.self) < 0x80 { left &-= 1 }
            offset &+= 1
        }
    }

    /// The sum of `n` zigzag varints, which wraps around: whoever uses it checks it.
    mutating func sumOfZigzags(_ n: Int) throws(MalformedBytes) -> Int {
        var total = 0
        var left = n
        while left > 0 {
            if left >= 8, remaining >= 8 {
                let word = base.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                if word & 0x8080_8080_8080_8080 == 0 {
                    // A byte 2 h stands for h, a byte 2 h + 1 for −h − 1.
                    let halves = word &>> 1 & 0x3f3f_3f3f_3f3f_3f3f
                    let odd = word & 0x0101_0101_0101_0101
                    let negated = halves & (odd &* 0xff)
                    total &+= ByteReader.sumOfBytes(halves) &- 2 &* ByteReader.sumOfBytes(negated)
                    total &-= odd.nonzeroBitCount
                    offset &+= 8
                    left &-= 8
                    continue
                }
            }
            total &+= Int(truncatingIfNeeded: try zigzag())
            left &-= 1
        }
        return total
    }

    /// The sum of eight bytes.
    @inline(__always)
    private static func sumOfBytes(_ word: UInt64) -> Int {
        let pairs = (word & 0x00ff_00ff_00ff_00ff) &+ (word &>> 8 & 0x00ff_00ff_00ff_00ff)
        return Int(truncatingIfNeeded: (pairs &* 0x0001_0001_0001_0001) &>> 48)
    }

    /// The sum of `n` varints, none larger than what is left.
    mutating func sumOfVarints(_ n: Int) throws(MalformedBytes) -> Int {
        var total = 0
        var left = n
        while left > 0 {
            if left >= 8, remaining >= 8 {
                let word = base.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                if word & 0x8080_8080_8080_8080 == 0 {
                    total &+= ByteReader.sumOfBytes(word)
                    offset &+= 8
                    left &-= 8
                    continue
                }
            }
            total &+= try length(limit: remaining, "length of a value")
            left &-= 1
        }
        // Each is bounded by the input and so is their number: no overflow.
        return total
    }
}

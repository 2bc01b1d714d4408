// SPDX-License-Identifier: Apache-2.0
// A reader of Prometheus' chunks written from the description of the format, not from the encoder.

import Telemetry

/// Bits from the highest down; bits past the end make it fail.
struct ChunkReader {
    struct Ended: Error {}

    let bytes: [UInt8]
    var place = 0

    mutating func bits(_ count: Int) throws -> UInt64 {
        guard place + count <= 8 * bytes.count else { throw Ended() }
        var value: UInt64 = 0
        for _ in 0..<count {
            value = value << 1 | UInt64(bytes[place / 8] >> UInt8(7 - place % 8) & 1)
            place += 1
        }
        return value
    }

    mutating func double() throws -> Double { Double(bitPattern: try bits(64)) }

    mutating func signed(_ count: Int) throws -> Int64 {
        let raw = try bits(count)
        // The range is lopsided: 2^(n−1) itself is positive.
        return raw > 1 << UInt64(count - 1) ? Int64(raw) - (1 << count) : Int64(raw)
    }

    mutating func varint() throws -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            let byte = try bits(8)
            value |= (byte & 0x7f) << shift
            if byte < 0x80 { return value }
        }
        throw Ended()
    }

    private mutating func width() throws -> Int {
        for width in [0, 3, 6, 9, 12, 18, 25, 56] where try bits(1) == 0 { return width }
        return 64
    }

    mutating func varbitUnsigned() throws -> UInt64 { try bits(try width()) }

    mutating func varbit() throws -> Int64 {
        switch try width() {
        case 0: 0
        case 64: Int64(bitPattern: try bits(64))
        case let width: try signed(width)
        }
    }
}

/// A value and the window of its last XOR.
struct XORValue {
    var bits: UInt64
    var leading = 0
    var trailing = 0

    mutating func next(_ reader: inout ChunkReader) throws {
        guard try reader.bits(1) == 1 else { return }
        if try reader.bits(1) == 1 {
            leading = Int(try reader.bits(5))
            let significant = Int(try reader.bits(6))
            trailing = 64 - leading - (significant == 0 ? 64 : significant)
        }
        bits ^= try reader.bits(64 - leading - trailing) << UInt64(trailing)
    }
}

/// A chunk of floats.
func readFloats(_ bytes: [UInt8]) throws -> [(millis: Int64, bits: UInt64)] {
    var reader = ChunkReader(bytes: bytes)
    let count = Int(try reader.bits(16))
    var result: [(millis: Int64, bits: UInt64)] = []
    var (millis, delta, value) = (Int64(0), Int64(0), XORValue(bits: 0))
    for index in 0..<count {
        if index == 0 {
            let raw = try reader.varint()
            millis = Int64(raw >> 1) ^ -Int64(raw & 1)
            value.bits = try reader.bits(64)
        } else {
            if index == 1 {
                delta = Int64(bitPattern: try reader.varint())
            } else {
                var ones = 0
                while ones < 4, try reader.bits(1) == 1 { ones += 1 }
                switch ones {
                case 0: break
                case 4: delta &+= Int64(bitPattern: try reader.bits(64))
                default: delta &+= try reader.signed([14, 17, 20][ones - 1])
                }
            }
            millis &+= delta
            try value.next(&reader)
        }
        result.append((millis, value.bits))
    }
    return result
}

/// A chunk of histograms of encoding 2 or 3, with the hint that Prometheus gives each.
func readHistograms(
    _ bytes: [UInt8], encoding: UInt32
) throws -> [(millis: Int64, histogram: NativeHistogram)] {
    var reader = ChunkReader(bytes: bytes)
    let count = Int(try reader.bits(16))
    let flags = try reader.bits(2)
    _ = try reader.bits(6)
    var layout = NativeHistogram()
    layout.isInteger = encoding == 2
    let threshold = try reader.bits(8)
    if threshold == 255 {
        layout.zeroThreshold = try reader.double()
    } else if threshold > 0 {
        layout.zeroThreshold = Double(sign: .plus, exponent: Int(threshold) - 244, significand: 1)
    }
    layout.schema = Int32(try reader.varbit())
    func spans() throws -> [NativeHistogram.Span] {
        try (0..<(try reader.varbitUnsigned())).map { _ in
            let length = UInt32(try reader.varbitUnsigned())
            return NativeHistogram.Span(offset: Int32(try reader.varbit()), length: length)
        }
    }
    layout.positiveSpans = try spans()
    layout.negativeSpans = try spans()
    if layout.schema == -53 {
        layout.customBounds = try (0..<(try reader.varbitUnsigned())).map { _ in
            let number = try reader.varbitUnsigned()
            return number == 0 ? try reader.double() : Double(number - 1) / 1000
        }
    }
    let positive = Int(layout.positiveSpans.reduce(0) { $0 + $1.length })
    let negative = Int(layout.negativeSpans.reduce(0) { $0 + $1.length })
    var result: [(millis: Int64, histogram: NativeHistogram)] = []
    var (millis, delta) = (Int64(0), Int64(0))
    var sum = XORValue(bits: 0)
    var numbers = [Int64](repeating: 0, count: 2 + positive + negative)
    var deltas = numbers
    var floats = [XORValue](repeating: XORValue(bits: 0), count: numbers.count)
    for index in 0..<count {
        if index == 0 {
            millis = try reader.varbit()
        } else {
            delta &+= try reader.varbit()
            millis &+= delta
        }
        func next(_ i: Int) throws {
            switch (encoding == 2, index) {
            case (true, 0):
                numbers[i] =
                    i < 2 ? Int64(bitPattern: try reader.varbitUnsigned()) : try reader.varbit()
            case (true, _):
                deltas[i] &+= try reader.varbit()
                numbers[i] &+= deltas[i]
            case (false, 0): floats[i].bits = try reader.bits(64)
            case (false, _): try floats[i].next(&reader)
            }
        }
        try next(0)
        try next(1)
        if index == 0 { sum.bits = try reader.bits(64) } else { try sum.next(&reader) }
        var histogram = layout
        histogram.sum = Double(bitPattern: sum.bits)
        switch flags {
        case 3: histogram.counterReset = .gauge
        case _ where index > 0: histogram.counterReset = .notReset
        case 2: histogram.counterReset = .reset
        default: histogram.counterReset = .unknown
        }
        if histogram.isStale {
            histogram = NativeHistogram()
            histogram.sum = StaleMarker.value
            result.append((millis, histogram))
            continue
        }
        for i in 2..<numbers.count { try next(i) }
        func value(_ i: Int) -> Double {
            encoding == 2
                ? Double(UInt64(bitPattern: numbers[i])) : Double(bitPattern: floats[i].bits)
        }
        histogram.count = value(0)
        histogram.zeroCount = value(1)
        func buckets(_ start: Int, _ length: Int) -> [Double] {
            var running: Int64 = 0
            return (start..<(start + length)).map { i in
                running &+= numbers[i]
                return encoding == 2 ? Double(running) : value(i)
            }
        }
        histogram.positiveBuckets = buckets(2, positive)
        histogram.negativeBuckets = buckets(2 + positive, negative)
        result.append((millis, histogram))
    }
    return result
}

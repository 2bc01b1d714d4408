// SPDX-License-Identifier: Apache-2.0
// Trace and span identifiers.

import Base

/// A 16-byte trace id. All zero means absent.
@usableFromInline
package struct TraceID: Hashable, Sendable, Comparable, BitwiseCopyable,
    CustomStringConvertible
{
    /// Bytes 0–7 and 8–15, most significant first.
    @usableFromInline package var high: UInt64
    @usableFromInline package var low: UInt64

    @inlinable package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// 16 bytes as OTLP carries them, or 8, padded on the left. Nil for any other count.
    @inlinable package init?(bytes: UnsafeRawBufferPointer) {
        switch bytes.count {
        case 16:
            high = UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self))
            low = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        case 8:
            high = 0
            low = UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self))
        default: return nil
        }
    }

    /// 1 to 32 hexadecimal digits of any case; short forms are padded on the left.
    package init?(hex: UnsafeRawBufferPointer) {
        guard (1...32).contains(hex.count) else { return nil }
        if hex.count == 32, let base = hex.baseAddress {
            guard let high = hexNumber(base), let low = hexNumber(base + 16) else { return nil }
            self.init(high: high, low: low)
            return
        }
        var high: UInt64 = 0, low: UInt64 = 0
        for byte in hex {
            guard let digit = hexDigit(byte) else { return nil }
            high = high &<< 4 | low &>> 60
            low = low &<< 4 | UInt64(digit)
        }
        self.init(high: high, low: low)
    }

    package init?(hex: String) {
        var hex = hex
        guard let id = hex.withUTF8({ TraceID(hex: UnsafeRawBufferPointer($0)) }) else {
            return nil
        }
        self = id
    }

    @usableFromInline package static let zero = TraceID(high: 0, low: 0)
    @inlinable package var isZero: Bool { high == 0 && low == 0 }

    /// 32 lower-case hexadecimal digits.
    @usableFromInline package var description: String { hexText(high, 16) + hexText(low, 16) }

    @inlinable package static func < (a: TraceID, b: TraceID) -> Bool {
        a.high == b.high ? a.low < b.low : a.high < b.high
    }
}

/// An 8-byte span id. Zero means absent.
@usableFromInline
package struct SpanID: Hashable, Sendable, Comparable, BitwiseCopyable,
    CustomStringConvertible
{
    @usableFromInline package var rawValue: UInt64

    @inlinable package init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// Exactly 8 bytes, most significant first.
    @inlinable package init?(bytes: UnsafeRawBufferPointer) {
        guard bytes.count == 8 else { return nil }
        rawValue = UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self))
    }

    /// 1 to 16 hexadecimal digits of any case.
    package init?(hex: UnsafeRawBufferPointer) {
        guard (1...16).contains(hex.count) else { return nil }
        if hex.count == 16, let base = hex.baseAddress {
            guard let value = hexNumber(base) else { return nil }
            rawValue = value
            return
        }
        var value: UInt64 = 0
        for byte in hex {
            guard let digit = hexDigit(byte) else { return nil }
            value = value &<< 4 | UInt64(digit)
        }
        rawValue = value
    }

    package init?(hex: String) {
        var hex = hex
        guard let id = hex.withUTF8({ SpanID(hex: UnsafeRawBufferPointer($0)) }) else {
            return nil
        }
        self = id
    }

    @usableFromInline package static let zero = SpanID(0)
    @inlinable package var isZero: Bool { rawValue == 0 }
    /// 16 lower-case hexadecimal digits.
    @usableFromInline package var description: String { hexText(rawValue, 16) }
    @inlinable package static func < (a: SpanID, b: SpanID) -> Bool { a.rawValue < b.rawValue }
}

/// The number that sixteen hexadecimal digits of any case stand for, eight at a time; nil when one is
/// none.
private func hexNumber(_ digits: UnsafeRawPointer) -> UInt64? {
    guard
        let high = hexHalf(UInt64(bigEndian: digits.loadUnaligned(as: UInt64.self))),
        let low = hexHalf(
            UInt64(bigEndian: digits.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    else { return nil }
    return high &<< 32 | low
}

/// - Parameter text: eight bytes, the first one highest.
@inline(__always)
private func hexHalf(_ text: UInt64) -> UInt64? {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let tops = ones &* 0x80
    let low = text & ~tops
    // A sum's top bit tells whether a byte reaches a bound; none carries into the next.
    let belowZero = ~(low &+ ones &* (0x80 - 0x30)), aboveNine = low &+ ones &* (0x80 - 0x3a)
    let folded = low | ones &* 0x20
    let belowA = ~(folded &+ ones &* (0x80 - 0x61)), aboveF = folded &+ ones &* (0x80 - 0x67)
    let wrong = (belowZero | aboveNine) & (belowA | aboveF) | text
    if wrong & tops != 0 { return nil }
    var value = (text & (ones &* 0x0f)) &+ ((text &>> 6) & ones) &* 9
    value = (value | value &>> 4) & 0x00ff_00ff_00ff_00ff
    value = (value | value &>> 8) & 0x0000_ffff_0000_ffff
    return (value | value &>> 16) & 0xffff_ffff
}

/// Value of an ASCII hexadecimal digit, or nil.
@inlinable package func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte &- UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte &- UInt8(ascii: "a") &+ 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte &- UInt8(ascii: "A") &+ 10
    default: nil
    }
}

/// Lower-case hexadecimal of the low `digits` × 4 bits.
package func hexText(_ value: UInt64, _ digits: Int) -> String {
    String(unsafeUninitializedCapacity: digits) { buffer in
        for i in 0..<digits {
            let nibble = UInt8(truncatingIfNeeded: value &>> UInt64(4 * (digits - 1 - i))) & 15
            buffer[i] = nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10
        }
        return digits
    }
}

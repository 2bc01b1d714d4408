// SPDX-License-Identifier: Apache-2.0
// Trace and span identifiers.

import Base

/// A 16-byte trace id. All zero means absent.
@usableFromInline package struct TraceID: Hashable, Sendable, Comparable, CustomStringConvertible {
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
@usableFromInline package struct SpanID: Hashable, Sendable, Comparable, CustomStringConvertible {
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

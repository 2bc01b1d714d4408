// SPDX-License-Identifier: Apache-2.0
// Addresses in text: `ip("10.0.0.0/8")`.

/// An address of either family as a 128-bit number.
private struct IPAddress: Comparable {
    var isV6: Bool
    var high: UInt64
    var low: UInt64

    static func < (a: IPAddress, b: IPAddress) -> Bool {
        a.high == b.high ? a.low < b.low : a.high < b.high
    }

    /// Dotted decimal or colon-hexadecimal.
    init?(_ text: Slice<UnsafeRawBufferPointer>) {
        if text.contains(UInt8(ascii: ":")) {
            self.init(v6: text)
        } else {
            guard let value = IPAddress.v4(text) else { return nil }
            self.init(isV6: false, high: 0, low: UInt64(value))
        }
    }

    init(isV6: Bool, high: UInt64, low: UInt64) {
        self.isV6 = isV6
        self.high = high
        self.low = low
    }

    private static func v4(_ text: Slice<UnsafeRawBufferPointer>) -> UInt32? {
        var value: UInt32 = 0
        var parts = 0, digits = 0
        var part: UInt32 = 0
        for byte in text {
            if byte == UInt8(ascii: ".") {
                guard digits > 0, parts < 3 else { return nil }
                value = value << 8 | part
                parts += 1
                part = 0
                digits = 0
            } else {
                guard isASCIIDigit(byte), digits < 3, !(digits > 0 && part == 0) else {
                    return nil
                }
                part = part * 10 + UInt32(byte - UInt8(ascii: "0"))
                digits += 1
                if part > 255 { return nil }
            }
        }
        guard parts == 3, digits > 0 else { return nil }
        return value << 8 | part
    }

    private init?(v6 text: Slice<UnsafeRawBufferPointer>) {
        var groups: [UInt16] = []
        var gap: Int?
        var i = text.startIndex
        if text.starts(with: "::".utf8) {
            gap = 0
            i += 2
        }
        while i < text.endIndex {
            let end = text[i...].firstIndex(of: UInt8(ascii: ":")) ?? text.endIndex
            let group = text[i..<end]
            if group.contains(UInt8(ascii: ".")) {
                guard end == text.endIndex, let v4 = IPAddress.v4(group) else { return nil }
                groups += [UInt16(v4 >> 16), UInt16(truncatingIfNeeded: v4)]
                i = end
                break
            }
            guard (1...4).contains(group.count) else { return nil }
            var value: UInt16 = 0
            for byte in group {
                guard let digit = hexadecimalDigit(byte) else { return nil }
                value = value << 4 | UInt16(digit)
            }
            groups.append(value)
            if groups.count > 8 { return nil }
            guard end < text.endIndex else {
                i = end
                break
            }
            i = end + 1
            if i < text.endIndex, text[i] == UInt8(ascii: ":") {
                guard gap == nil else { return nil }
                gap = groups.count
                i += 1
            } else if i == text.endIndex {
                return nil
            }
        }
        if let gap {
            guard groups.count < 8 else { return nil }
            groups.insert(contentsOf: [UInt16](repeating: 0, count: 8 - groups.count), at: gap)
        }
        guard groups.count == 8 else { return nil }
        isV6 = true
        high = groups[..<4].reduce(0) { $0 << 16 | UInt64($1) }
        low = groups[4...].reduce(0) { $0 << 16 | UInt64($1) }
    }
}

private func hexadecimalDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}

/// One address, `first-last`, or `prefix/bits`.
struct IPPattern: Sendable {
    private let isV6: Bool
    private let first: (high: UInt64, low: UInt64)
    private let last: (high: UInt64, low: UInt64)

    init?(_ text: String) {
        let bytes = Array(text.utf8.filter { $0 != 32 })
        let parsed = bytes.withUnsafeBytes { all -> (IPAddress, IPAddress)? in
            if let dash = all.firstIndex(of: UInt8(ascii: "-")) {
                guard let a = IPAddress(all[..<dash]), let b = IPAddress(all[(dash + 1)...]),
                    a.isV6 == b.isV6, a <= b
                else { return nil }
                return (a, b)
            }
            if let slash = all.firstIndex(of: UInt8(ascii: "/")) {
                let digits = all[(slash + 1)...]
                guard let address = IPAddress(all[..<slash]), digits.count <= 3,
                    let bits = Int(String(decoding: digits, as: UTF8.self)),
                    (0...(address.isV6 ? 128 : 32)).contains(bits)
                else { return nil }
                return IPPattern.network(address, bits: bits)
            }
            return IPAddress(all[...]).map { ($0, $0) }
        }
        guard let (a, b) = parsed else { return nil }
        isV6 = a.isV6
        first = (a.high, a.low)
        last = (b.high, b.low)
    }

    private static func network(_ address: IPAddress, bits: Int) -> (IPAddress, IPAddress) {
        let total = address.isV6 ? bits : bits + 96
        let highMask = total >= 64 ? UInt64.max : total == 0 ? 0 : UInt64.max << UInt64(64 - total)
        let lowMask =
            total >= 128 ? UInt64.max : total <= 64 ? 0 : UInt64.max << UInt64(128 - total)
        var first = address, last = address
        first.high &= highMask
        first.low &= lowMask
        last.high |= address.isV6 ? ~highMask : 0
        last.low |= address.isV6 ? ~lowMask : ~lowMask & 0xffff_ffff
        return (first, last)
    }

    private func contains(_ address: IPAddress) -> Bool {
        guard address.isV6 == isV6 else { return false }
        return address >= IPAddress(isV6: isV6, high: first.high, low: first.low)
            && address <= IPAddress(isV6: isV6, high: last.high, low: last.low)
    }

    /// Whether an address of the pattern stands anywhere in the text.
    func occurs(in text: Bytes) -> Bool {
        var i = 0
        while i < text.count {
            guard isAddressByte(text[i]) else {
                i += 1
                continue
            }
            let start = i
            var dots = 0, colons = 0
            while i < text.count, isAddressByte(text[i]) {
                if text[i] == UInt8(ascii: ".") { dots += 1 }
                if text[i] == UInt8(ascii: ":") { colons += 1 }
                i += 1
            }
            if isV6 ? colons >= 2 : dots >= 3, runMatches(text[start..<i]) { return true }
        }
        return false
    }

    private func isAddressByte(_ byte: UInt8) -> Bool {
        if byte == UInt8(ascii: ".") { return true }
        if isASCIIDigit(byte) { return true }
        return byte == UInt8(ascii: ":") || hexadecimalDigit(byte) != nil
    }

    /// Tries the addresses inside a run of address-like bytes: with IPv4 each piece between other
    /// characters (`10.0.0.7:80`), with IPv6 the run without trailing punctuation.
    private func runMatches(_ run: Slice<UnsafeRawBufferPointer>) -> Bool {
        if isV6 {
            var run = run
            while let byte = run.last, byte == UInt8(ascii: ".") { run = run.dropLast() }
            if let address = IPAddress(run), contains(address) { return true }
            if run.last == UInt8(ascii: ":"), let address = IPAddress(run.dropLast()) {
                return contains(address)
            }
            return false
        }
        for piece in run.split(whereSeparator: { !isASCIIDigit($0) && $0 != UInt8(ascii: ".") }) {
            var piece = piece
            while piece.last == UInt8(ascii: ".") { piece = piece.dropLast() }
            while piece.first == UInt8(ascii: ".") { piece = piece.dropFirst() }
            if let address = IPAddress(piece), contains(address) { return true }
        }
        return false
    }
}

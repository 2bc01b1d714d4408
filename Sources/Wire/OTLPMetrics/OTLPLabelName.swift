// SPDX-License-Identifier: Apache-2.0
// From attribute keys to label names.

import Base

/// Which label name an attribute's key becomes.
///
/// Source: prometheus/otlptranslator `label_namer.go`, `strconv.go`.
struct OTLPLabelNaming: Sendable, Equatable {
    /// Whether names keep only letters, digits and underscores.
    var escapes = true
    /// Whether `key` goes before a single leading underscore.
    var prefixesUnderscore = true
    /// Whether underscores stay side by side.
    var keepsMultiple = true

    init() {}

    init(_ settings: OTLPSettings) {
        escapes = settings.strategy.escapes
        prefixesUnderscore = settings.prefixesUnderscoreLabels
        keepsMultiple = settings.keepsMultipleUnderscores
    }

    /// Appends the name. Each character that a label name cannot have turns to an underscore;
    /// `key_` goes before a first digit.
    ///
    /// - Returns: false when the key is empty or nothing but underscores would be left of it; what
    ///   was appended means nothing then.
    func append(_ key: UnsafeRawBufferPointer, to out: inout [UInt8]) -> Bool {
        guard !key.isEmpty else { return false }
        guard escapes else {
            out.append(contentsOf: key)
            return true
        }
        let start = out.count
        let underscore = UInt8(ascii: "_")
        var inner = 0..<key.count
        // Reserved names keep their double underscores.
        let isReserved =
            !keepsMultiple && key.count >= 4 && key[0] == underscore && key[1] == underscore
            && key[key.count - 2] == underscore && key[key.count - 1] == underscore
        if isReserved {
            out.append(contentsOf: "__".utf8)
            inner = 2..<(key.count - 2)
        }
        var isRun = false
        var i = inner.lowerBound
        while i < inner.upperBound {
            let byte = key[i]
            // One underscore for a character, however many bytes it has.
            i &+= byte < 0x80 ? 1 : max(validUTF8Length(key, at: i), 1)
            if isLabelByte(byte), byte != underscore {
                out.append(byte)
                isRun = false
            } else if keepsMultiple || !isRun {
                out.append(underscore)
                isRun = true
            }
        }
        if isReserved { out.append(contentsOf: "__".utf8) }
        guard out.count > start else { return false }
        if out[start] &- UInt8(ascii: "0") < 10 {
            out.insert(contentsOf: "key_".utf8, at: start)
        } else if prefixesUnderscore, out[start] == underscore,
            out.count == start + 1 || out[start + 1] != underscore
        {
            out.insert(contentsOf: "key".utf8, at: start)
        }
        return out[start...].contains { $0 != underscore }
    }

    /// Whether a key is surely the label name that `append` makes of it.
    @inline(__always) func isUnchanged(_ key: UnsafeRawBufferPointer) -> Bool {
        guard escapes else { return !key.isEmpty }
        guard let first = key.first, (first | 0x20) &- UInt8(ascii: "a") < 26 else { return false }
        var previous: UInt8 = 0
        for byte in key {
            guard isLabelByte(byte) else { return false }
            if !keepsMultiple, byte == UInt8(ascii: "_"), byte == previous { return false }
            previous = byte
        }
        return true
    }
}

@inline(__always) private func isLabelByte(_ byte: UInt8) -> Bool {
    byte &- UInt8(ascii: "0") < 10 || (byte | 0x20) &- UInt8(ascii: "a") < 26
        || byte == UInt8(ascii: "_")
}

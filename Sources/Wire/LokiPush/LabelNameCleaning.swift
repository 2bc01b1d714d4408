// SPDX-License-Identifier: Apache-2.0
// Any text as a Prometheus label name.

/// Whether a name needs no cleaning: letters, digits and single underscores, no digit first.
func isCompliantLabelName(_ name: UnsafeRawBufferPointer) -> Bool {
    var previous: UInt8 = 0
    for byte in name {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): break
        case UInt8(ascii: "0")...UInt8(ascii: "9"): if previous == 0 { return false }
        case UInt8(ascii: "_"): if previous == byte { return false }
        default: return false
        }
        previous = byte
    }
    return previous != 0
}

/// Appends a name made of letters, digits and single underscores: runs of anything else become one
/// underscore, a digit at the start gets `key_` before it, reserved names (`__x__`) keep their
/// underscores. False, with nothing appended, when no letter or digit is left.
///
/// Source: prometheus/otlptranslator `label_namer.go`, default options.
func appendCompliantLabelName(_ name: UnsafeRawBufferPointer, to out: inout [UInt8]) -> Bool {
    let start = out.count
    let isReserved =
        name.count > 4 && name.starts(with: "__".utf8) && name.suffix(2).elementsEqual("__".utf8)
    let inner = isReserved ? UnsafeRawBufferPointer(rebasing: name[2..<(name.count - 2)]) : name
    if isReserved { out.append(contentsOf: "__".utf8) }
    if !isReserved, let first = name.first, first &- UInt8(ascii: "0") < 10 {
        out.append(contentsOf: "key_".utf8)
    }
    var isMeaningful = false
    var lastIsUnderscore = false
    for byte in inner {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            out.append(byte)
            isMeaningful = true
            lastIsUnderscore = false
        default:
            if !lastIsUnderscore { out.append(UInt8(ascii: "_")) }
            lastIsUnderscore = true
        }
    }
    if isReserved { out.append(contentsOf: "__".utf8) }
    if !isMeaningful { out.removeSubrange(start...) }
    return isMeaningful
}

// SPDX-License-Identifier: Apache-2.0
// Names as numbers.

import Base

/// Texts that occur many times, each stored once and named by a number.
struct NameTable: Sendable {
    private(set) var texts: [String] = []
    /// By hash of the text: two texts share one in 2⁶⁴ cases.
    private var numbers: [UInt64: Int32] = [:]

    var count: Int { texts.count }

    subscript(number: Int32) -> String { texts[Int(number)] }

    /// The number of a text, a new one the first time.
    mutating func add(_ text: UnsafeRawBufferPointer) -> Int32 {
        let hash = hash64(text)
        if let known = numbers[hash] { return known }
        let number = Int32(texts.count)
        texts.append(String(decoding: text, as: UTF8.self))
        numbers[hash] = number
        return number
    }
}

/// Services by number. Names that differ only in case, `_`, `-` and `.` are one, under the first
/// spelling.
struct ServiceTable: Sendable {
    private(set) var names: [String] = []
    private var numbers: [String: Int32] = [:]
    /// Of all spellings.
    private var hashes: Set<UInt64> = []

    var count: Int { names.count }

    subscript(number: Int32) -> String { names[Int(number)] }

    /// Whether a text is a name as it was spelled somewhere.
    func contains(_ text: UnsafeRawBufferPointer) -> Bool {
        !text.isEmpty && hashes.contains(hash64(text))
    }

    func number(of name: String) -> Int32? { numbers[name] ?? numbers[folded(name)] }

    /// Notes another name of a service, for `contains` alone.
    mutating func note(spelling: String) { hashes.insert(hash64(Array(spelling.utf8))) }

    mutating func add(_ name: String) -> Int32 {
        if let known = number(of: name) {
            numbers[name] = known
            hashes.insert(hash64(Array(name.utf8)))
            return known
        }
        let number = Int32(names.count)
        names.append(name)
        numbers[name] = number
        numbers[folded(name)] = number
        hashes.insert(hash64(Array(name.utf8)))
        return number
    }
}

/// A name without case and without the marks that tools put between its words.
func folded(_ name: String) -> String {
    String(
        decoding: name.lowercased().utf8.filter {
            $0 != UInt8(ascii: "_") && $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: ".")
        }, as: UTF8.self)
}

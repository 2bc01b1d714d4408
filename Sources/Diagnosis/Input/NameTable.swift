// SPDX-License-Identifier: Apache-2.0
// Names as numbers.

/// Texts that occur many times, each stored once and named by a number.
struct NameTable: Sendable {
    private(set) var texts: [String] = []
    private var numbers: [String: Int32] = [:]

    var count: Int { texts.count }

    subscript(number: Int32) -> String { texts[Int(number)] }

    func number(of text: String) -> Int32? { numbers[text] }

    /// The number of a text, a new one the first time.
    mutating func add(_ text: String) -> Int32 {
        if let known = numbers[text] { return known }
        let number = Int32(texts.count)
        texts.append(text)
        numbers[text] = number
        return number
    }
}

/// Services by number. Names that differ only in case, `_`, `-` and `.` are one, under the first
/// spelling.
struct ServiceTable: Sendable {
    private(set) var names: [String] = []
    private var numbers: [String: Int32] = [:]

    var count: Int { names.count }

    subscript(number: Int32) -> String { names[Int(number)] }

    func number(of name: String) -> Int32? { numbers[name] ?? numbers[folded(name)] }

    mutating func add(_ name: String) -> Int32 {
        if let known = number(of: name) {
            numbers[name] = known
            return known
        }
        let number = Int32(names.count)
        names.append(name)
        numbers[name] = number
        numbers[folded(name)] = number
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

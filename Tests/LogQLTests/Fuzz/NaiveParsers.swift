// SPDX-License-Identifier: Apache-2.0
// Parsers that go through a line character by character.

/// A JSON value as a tree.
indirect enum NaiveJSON {
    case object([(key: String, value: NaiveJSON)])
    case array([NaiveJSON])
    case null
    case string(String)
    /// Numbers and truths, as written.
    case other(String)

    subscript(key: String) -> NaiveJSON? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key == key }?.value
    }

    subscript(index: Int) -> NaiveJSON? {
        guard case .array(let items) = self, items.indices.contains(index) else { return nil }
        return items[index]
    }

    /// What a label of a plain value holds.
    var plainText: String? {
        switch self {
        case .string(let text), .other(let text): text
        case .object, .array, .null: nil
        }
    }
}

/// Reads a value and reports members as soon as they are complete, since a fault behind them does
/// not take them back.
struct NaiveJSONReader {
    struct Fault: Error {}
    private let text: [Unicode.Scalar]
    private var i = 0

    init(_ text: String) { self.text = Array(text.unicodeScalars) }

    private mutating func skipBlanks() {
        while i < text.count, " \t\r\n".unicodeScalars.contains(text[i]) { i += 1 }
    }

    private mutating func take(_ scalar: Unicode.Scalar) throws(Fault) {
        skipBlanks()
        guard i < text.count, text[i] == scalar else { throw Fault() }
        i += 1
    }

    private mutating func peek() throws(Fault) -> Unicode.Scalar {
        skipBlanks()
        guard i < text.count else { throw Fault() }
        return text[i]
    }

    /// Walks an object; `body` gets the flattened name and the text of each plain member.
    mutating func object(
        prefix: String, _ body: (String, String) -> Void
    ) throws(Fault) {
        try take("{")
        if try peek() == "}" {
            i += 1
            return
        }
        while true {
            guard try peek() == "\"" else { throw Fault() }
            let key = naiveName(try string(), isFirst: prefix.isEmpty)
            try take(":")
            if try peek() == "{" {
                try object(prefix: prefix + key + "_", body)
            } else if let text = try plainValue(), !key.isEmpty {
                body(prefix + key, text)
            }
            let next = try peek()
            i += 1
            if next == "}" { return }
            guard next == "," else { throw Fault() }
        }
    }

    /// The whole value.
    mutating func tree() throws(Fault) -> NaiveJSON {
        switch try peek() {
        case "{":
            var members: [(key: String, value: NaiveJSON)] = []
            try list("{", "}") { (reader) throws(Fault) in
                guard try reader.peek() == "\"" else { throw Fault() }
                let key = try reader.string()
                try reader.take(":")
                members.append((key, try reader.tree()))
            }
            return .object(members)
        case "[":
            var items: [NaiveJSON] = []
            try list("[", "]") { (reader) throws(Fault) in items.append(try reader.tree()) }
            return .array(items)
        case "\"": return .string(try string())
        case "n":
            _ = try word("null")
            return .null
        default: return .other(try plainValue() ?? "")
        }
    }

    private mutating func list(
        _ open: Unicode.Scalar, _ close: Unicode.Scalar,
        _ item: (inout NaiveJSONReader) throws(Fault) -> Void
    ) throws(Fault) {
        try take(open)
        if try peek() == close {
            i += 1
            return
        }
        while true {
            try item(&self)
            let next = try peek()
            i += 1
            if next == close { return }
            guard next == "," else { throw Fault() }
        }
    }

    /// The text of a string, number or truth; nil for what makes no label.
    private mutating func plainValue() throws(Fault) -> String? {
        switch try peek() {
        case "\"": return try string()
        case "[":
            _ = try tree()
            return nil
        case "t": return try word("true")
        case "f": return try word("false")
        case "n":
            _ = try word("null")
            return nil
        default: return try number()
        }
    }

    private mutating func word(_ word: String) throws(Fault) -> String {
        for scalar in word.unicodeScalars {
            guard i < text.count, text[i] == scalar else { throw Fault() }
            i += 1
        }
        return word
    }

    private mutating func number() throws(Fault) -> String {
        let start = i
        while i < text.count, "+-.0123456789eE".unicodeScalars.contains(text[i]) { i += 1 }
        guard i > start else { throw Fault() }
        return String(String.UnicodeScalarView(text[start..<i]))
    }

    private mutating func string() throws(Fault) -> String {
        try take("\"")
        var result = String.UnicodeScalarView()
        while i < text.count {
            let scalar = text[i]
            i += 1
            if scalar == "\"" { return String(result) }
            guard scalar == "\\" else {
                result.append(scalar)
                continue
            }
            guard i < text.count else { throw Fault() }
            let escaped = text[i]
            i += 1
            switch escaped {
            case "n": result.append("\n")
            case "t": result.append("\t")
            case "u":
                guard i + 4 <= text.count,
                    let value = UInt32(
                        String(String.UnicodeScalarView(text[i..<(i + 4)])), radix: 16),
                    let scalar = Unicode.Scalar(value)
                else { throw Fault() }
                i += 4
                result.append(scalar)
            default: result.append(escaped)
            }
        }
        throw Fault()
    }
}

/// The pairs of a logfmt line; nil for a malformed one.
func naiveLogfmt(_ line: String) -> [(key: String, value: String)?] {
    let text = Array(line.unicodeScalars)
    var result: [(key: String, value: String)?] = []
    var i = 0
    func isBlank(_ scalar: Unicode.Scalar) -> Bool { scalar.value <= 32 }
    func string(_ range: Range<Int>) -> String { String(String.UnicodeScalarView(text[range])) }
    while true {
        while i < text.count, isBlank(text[i]) { i += 1 }
        guard i < text.count else { return result }
        let start = i
        while i < text.count, !isBlank(text[i]), text[i] != "=", text[i] != "\"" { i += 1 }
        let key = string(start..<i)
        func malformed() {
            while i < text.count, !isBlank(text[i]) { i += 1 }
            result.append(nil)
        }
        if i < text.count, text[i] == "\"" {
            malformed()
            continue
        }
        if key.unicodeScalars.contains("\u{fffd}") {
            malformed()
            continue
        }
        guard i < text.count, text[i] == "=" else {
            result.append((key, ""))
            continue
        }
        if key.isEmpty {
            malformed()
            continue
        }
        i += 1
        if i < text.count, text[i] == "\"" {
            var value = String.UnicodeScalarView()
            var j = i + 1
            while j < text.count, text[j] != "\"" {
                if text[j] == "\\", j + 1 < text.count { j += 1 }
                value.append(text[j])
                j += 1
            }
            if j >= text.count {
                malformed()
                continue
            }
            i = j + 1
            result.append((key, String(value)))
            continue
        }
        let valueStart = i
        while i < text.count, !isBlank(text[i]), text[i] != "=", text[i] != "\"" { i += 1 }
        if i < text.count, !isBlank(text[i]) {
            malformed()
        } else {
            result.append((key, string(valueStart..<i)))
        }
    }
}

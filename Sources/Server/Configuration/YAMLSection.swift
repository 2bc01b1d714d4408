// SPDX-License-Identifier: Apache-2.0
// Reading a YAML mapping so that no key goes unnoticed.

import Base
import Scrape
import Yams

/// A configuration that cannot be used, with the place and the remedy.
package struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    package var line: Int?
    package var message: String

    package init(_ message: String, line: Int? = nil) {
        self.message = message
        self.line = line
    }

    package var description: String {
        line.map { "line \($0): \(message)" } ?? message
    }
}

/// A mapping whose keys are taken one by one; `finish` refuses what nobody took.
struct YAMLSection {
    let name: String
    private let node: Node
    private var rest: [String: (key: Node, value: Node)] = [:]
    private var known: [String] = []

    init(_ node: Node, _ name: String) throws(ConfigurationError) {
        self.name = name
        self.node = node
        guard let mapping = node.withMergedKeys.mapping else {
            throw ConfigurationError("\(name) must be a mapping", line: node.mark?.line)
        }
        for (key, value) in mapping {
            guard let text = key.string else {
                throw ConfigurationError("\(name) has a key that is no text", line: key.mark?.line)
            }
            if rest[text] != nil {
                throw ConfigurationError(
                    "field \(text) already set in \(name)", line: key.mark?.line)
            }
            rest[text] = (key, value)
        }
    }

    /// Keys that nobody has taken yet, ascending.
    var keys: [String] { rest.keys.sorted() }

    func failure(_ message: String, _ at: Node? = nil) -> ConfigurationError {
        ConfigurationError(message, line: (at ?? node).mark?.line)
    }

    /// The value of a key; nil when absent or null.
    mutating func take(_ key: String) -> Node? {
        known.append(key)
        guard let value = rest.removeValue(forKey: key)?.value, value.null == nil else {
            return nil
        }
        return value
    }

    /// Whether a key stands there without a value.
    func isNull(_ key: String) -> Bool { rest[key].map { $0.value.null != nil } ?? false }

    /// Whether a key has a value, other than an empty list, that nobody took yet.
    func has(_ key: String) -> Bool {
        guard let value = rest[key]?.value, value.null == nil else { return false }
        return value.sequence?.isEmpty != true
    }

    /// The text of a scalar, which stays to be taken.
    func peek(_ key: String) -> String? { rest[key]?.value.scalar?.string }

    mutating func string(_ key: String) throws(ConfigurationError) -> String? {
        guard let value = take(key) else { return nil }
        guard let text = try text(value) else { throw failure("\(key) must be text", value) }
        return text
    }

    /// The text of a scalar, base64 of `!!binary` decoded; nil for anything else.
    func text(_ node: Node) throws(ConfigurationError) -> String? {
        guard let bytes = try bytes(node) else { return nil }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw failure("\(hexQuoted(bytes)) is not valid UTF-8", node)
        }
        return text
    }

    /// The bytes of a scalar; see `text`.
    func bytes(_ node: Node) throws(ConfigurationError) -> [UInt8]? {
        guard let scalar = node.scalar else { return nil }
        guard node.tag.description == "tag:yaml.org,2002:binary" else {
            return Array(scalar.string.utf8)
        }
        var bytes: [UInt8] = []
        let digits = scalar.string.utf8.filter { $0 > 0x20 }
        let isValid =
            digits.count.isMultiple(of: 4)
            && digits.withUnsafeBytes { appendDecodedBase64($0, to: &bytes) }
        guard isValid else { throw failure("!!binary value contains invalid base64 data", node) }
        return bytes
    }

    mutating func bool(_ key: String) throws(ConfigurationError) -> Bool? {
        guard let value = take(key) else { return nil }
        // YAML 1.1 has more words for it than the library.
        switch value.scalar?.string {
        case "y", "Y": return true
        case "n", "N": return false
        default: break
        }
        guard let flag = value.bool else { throw failure("\(key) must be true or false", value) }
        return flag
    }

    mutating func int(
        _ key: String, allowsNegative: Bool = false
    ) throws(ConfigurationError) -> Int? {
        guard let value = take(key) else { return nil }
        let number = value.int ?? value.float.flatMap { Int(exactly: $0) }
        guard let number, number >= 0 || allowsNegative else {
            throw failure(
                "\(key) must be a whole number" + (allowsNegative ? "" : ", zero or above"), value)
        }
        return number
    }

    /// A number, finite.
    mutating func double(_ key: String) throws(ConfigurationError) -> Double? {
        guard let value = take(key) else { return nil }
        guard let number = value.float, number.isFinite else {
            throw failure("\(key) must be a number", value)
        }
        return number
    }

    /// A Prometheus duration, in seconds.
    mutating func duration(_ key: String) throws(ConfigurationError) -> Double? {
        guard let value = take(key) else { return nil }
        guard let text = value.scalar?.string, let seconds = parseDurationSeconds(text) else {
            throw failure(
                "not a valid duration string: \"\(value.scalar?.string ?? "")\" for \(key)", value)
        }
        return seconds
    }

    /// A size such as `512MB` or `1GiB`, in bytes; powers of 1024 as in Prometheus.
    mutating func byteSize(_ key: String) throws(ConfigurationError) -> Int? {
        guard let value = take(key) else { return nil }
        let text = value.scalar?.string ?? ""
        if text != "0", !text.isEmpty, text.utf8.allSatisfy({ (48...57).contains($0) }) {
            throw failure("units: unknown unit  in \(text) for \(key)", value)
        }
        guard let bytes = parseByteSize(text) else {
            throw failure("\(key) must be a size such as 10MB", value)
        }
        return bytes
    }

    mutating func strings(_ key: String) throws(ConfigurationError) -> [String]? {
        guard let value = take(key) else { return nil }
        guard let sequence = value.sequence else { throw failure("\(key) must be a list", value) }
        var result: [String] = []
        for item in sequence {
            guard item.null == nil, let text = try text(item) else {
                throw failure("\(key) must be a list of texts", item)
            }
            result.append(text)
        }
        return result
    }

    /// A mapping of names to texts, in the order of the file.
    mutating func pairs(
        _ key: String
    ) throws(ConfigurationError) -> [(name: String, value: String)]? {
        guard let value = take(key) else { return nil }
        guard let mapping = value.withMergedKeys.mapping else {
            throw failure("\(key) must be a mapping", value)
        }
        var result: [(name: String, value: String)] = []
        for (name, text) in mapping {
            guard let name = try self.text(name), let text = try self.text(text) else {
                throw failure("\(key) must map names to texts", value)
            }
            result.append((name, text))
        }
        return result
    }

    /// The elements of a list of mappings.
    ///
    /// - Parameter ifNull: what is said about an element without a value.
    mutating func sections(
        _ key: String, ifNull: String? = nil
    ) throws(ConfigurationError) -> [YAMLSection] {
        guard let value = take(key) else { return [] }
        guard let sequence = value.sequence else { throw failure("\(key) must be a list", value) }
        var result: [YAMLSection] = []
        for item in sequence {
            if item.null != nil {
                throw failure(ifNull ?? "empty or null section in \(key)", item)
            }
            result.append(try YAMLSection(item, key))
        }
        return result
    }

    mutating func section(_ key: String) throws(ConfigurationError) -> YAMLSection? {
        guard let value = take(key) else { return nil }
        return try YAMLSection(value, key)
    }

    /// Refuses a key that Prometheus knows and this version cannot honour, unless it is empty.
    mutating func refuse(_ keys: [String], _ reason: String) throws(ConfigurationError) {
        for key in keys {
            guard let value = take(key) else { continue }
            if value.sequence?.isEmpty == true || value.mapping?.isEmpty == true { continue }
            throw failure("\(key) in \(name) is not supported: \(reason)", value)
        }
    }

    /// Refuses every key that was not taken, with the nearest known one.
    func finish() throws(ConfigurationError) {
        guard let (key, entry) = rest.min(by: { $0.key < $1.key }) else { return }
        let nearest = known.min { editDistance($0, key) < editDistance($1, key) }
        var message = "field \(key) not found in \(name)"
        if let nearest, editDistance(nearest, key) <= max(2, key.count / 3) {
            message += ": did you mean \(nearest)?"
        }
        throw failure(message, entry.key)
    }
}

/// Bytes in quotes, those that are no UTF-8 as `\\xff`.
func hexQuoted(_ bytes: [UInt8]) -> String {
    var out: [UInt8] = []
    bytes.withUnsafeBytes { appendQuoted($0, into: &out) }
    return String(decoding: out, as: UTF8.self)
}

/// Number of single-character edits between two short words.
func editDistance(_ a: String, _ b: String) -> Int {
    let x = Array(a.utf8.prefix(64)), y = Array(b.utf8.prefix(64))
    var row = Array(0...y.count)
    for i in 0..<x.count {
        var diagonal = row[0]
        row[0] = i + 1
        for j in 0..<y.count {
            let cost = diagonal + (x[i] == y[j] ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(cost, row[j] + 1, row[j + 1] + 1)
        }
    }
    return row[y.count]
}

/// Bytes of `100`, `10KB`, `512MiB`, `1.5GB`; units are powers of 1024. Nil when malformed.
package func parseByteSize(_ text: String) -> Int? {
    let units: [(String, Double)] = [
        ("EiB", 60), ("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10),
        ("EB", 60), ("PB", 50), ("TB", 40), ("GB", 30), ("MB", 20), ("KB", 10), ("B", 0),
    ]
    var number = trimmed(text)
    var shift = 0.0
    for (suffix, power) in units where number.hasSuffix(suffix) {
        number = String(number.dropLast(suffix.count))
        shift = power
        break
    }
    guard let value = Double(number), value >= 0 else { return nil }
    var bytes = value
    for _ in 0..<Int(shift) { bytes *= 2 }
    return bytes < 9e18 ? Int(bytes) : nil
}

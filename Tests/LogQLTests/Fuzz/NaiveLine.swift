// SPDX-License-Identifier: Apache-2.0
// A line and its labels, as plainly as they can be held.

import Base
import Telemetry

/// A stored line.
struct NaiveRow: Hashable {
    var stream: [String: String]
    var metadata: [String: String]
    var nanos: Int64
    var line: [UInt8]
}

/// A line in a pipeline. Source of the rules: loki.md 2.2, "Label name clashes".
struct NaiveLine {
    enum Category { case stream, metadata, parsed }
    struct Value {
        var text: String
        var category: Category
        var isExtracted = false
    }
    let row: NaiveRow
    var line: [UInt8]
    var labels: [String: Value] = [:]
    var error = ""

    init(_ row: NaiveRow) {
        self.row = row
        line = row.line
        for (name, text) in row.stream { labels[name] = Value(text: text, category: .stream) }
        for (name, text) in row.metadata {
            let clashes = row.stream[name] != nil
            labels[clashes ? name + "_extracted" : name] = Value(text: text, category: .metadata)
        }
    }

    func text(_ name: String) -> String? {
        name == "__error__" ? (error.isEmpty ? nil : error) : labels[name]?.text
    }

    /// A parser found a label.
    mutating func extract(_ name: String, _ text: String) {
        guard let held = labels[name] else {
            labels[name] = Value(text: text, category: .parsed, isExtracted: true)
            return
        }
        if held.category == .parsed {
            if !held.isExtracted {
                labels[name] = Value(text: text, category: .parsed, isExtracted: true)
            }
            return
        }
        let suffixed = name + "_extracted"
        if let other = labels[suffixed], other.isExtracted { return }
        labels[suffixed] = Value(text: text, category: .parsed, isExtracted: true)
    }

    mutating func set(_ name: String, _ text: String) {
        labels[name] = Value(text: text, category: .parsed)
    }

    var string: String { String(decoding: line, as: UTF8.self) }

    /// The label set of the answer, without details of errors.
    var answerLabels: [String: String] {
        var result = labels.mapValues(\.text)
        if !error.isEmpty { result["__error__"] = error }
        return result
    }
}

/// The name that a parser makes of a key: other characters than letters, digits and `_` become `_`.
func naiveName(_ key: String, isFirst: Bool) -> String {
    let trimmed = key.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()
    var name = String(
        trimmed.unicodeScalars_.map {
            $0 == "_" || ("a"..."z").contains($0) || ("A"..."Z").contains($0)
                || ("0"..."9").contains($0) ? Character($0) : "_"
        })
    if isFirst, let first = name.first, ("0"..."9").contains(first) { name = "_" + name }
    return name
}

extension Sequence where Element == Character {
    fileprivate var unicodeScalars_: [Unicode.Scalar] { flatMap { Array($0.unicodeScalars) } }
}

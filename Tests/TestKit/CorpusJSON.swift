// SPDX-License-Identifier: Apache-2.0
// JSON of any shape, for corpora.

import FoundationEssentials

/// A JSON value as the corpora hold it.
package indirect enum CorpusJSON: Decodable, Equatable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([CorpusJSON])
    case object([String: CorpusJSON])

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([CorpusJSON].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: CorpusJSON].self))
        }
    }

    package init(parsing bytes: [UInt8]) throws {
        self = try JSONDecoder().decode(CorpusJSON.self, from: Data(bytes))
    }

    /// The rows of a file with one value a line.
    package static func lines(_ bytes: [UInt8]) throws -> [CorpusJSON] {
        try bytes.split(separator: UInt8(ascii: "\n")).map { try CorpusJSON(parsing: Array($0)) }
    }

    package subscript(key: String) -> CorpusJSON? {
        if case .object(let members) = self { members[key] } else { nil }
    }
    package var string: String? { if case .string(let value) = self { value } else { nil } }
    package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    package var array: [CorpusJSON] { if case .array(let value) = self { value } else { [] } }
    package var members: [String: CorpusJSON] {
        if case .object(let value) = self { value } else { [:] }
    }
    /// A number, or one of the strings that stand for what JSON cannot write.
    package var double: Double? {
        switch self {
        case .number(let value): value
        case .string("NaN"): .nan
        case .string("+Inf"), .string("Inf"): .infinity
        case .string("-Inf"): -.infinity
        default: nil
        }
    }
    package var int: Int64? {
        if case .number(let value) = self { Int64(exactly: value) } else { nil }
    }
    /// String members, sorted: a label set.
    package var labels: [String] {
        members.map { "\($0.key)=\($0.value.string ?? "?")" }.sorted()
    }
}

/// The rows of a table with one JSON object per line; none when the corpora are not there.
package func corpusRows(_ path: String) throws -> [CorpusJSON] {
    guard let bytes = Corpora.file(path) else { return [] }
    return try CorpusJSON.lines(bytes)
}

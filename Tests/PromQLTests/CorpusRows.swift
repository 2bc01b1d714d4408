// SPDX-License-Identifier: Apache-2.0
// Tables with one JSON object per line.

import FoundationEssentials
import TestKit

/// Any JSON value.
indirect enum JSONValue: Decodable, Equatable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([JSONValue].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONValue].self))
        }
    }

    subscript(key: String) -> JSONValue? {
        if case .object(let members) = self { members[key] } else { nil }
    }
    var string: String? { if case .string(let value) = self { value } else { nil } }
    var number: Double? { if case .number(let value) = self { value } else { nil } }
}

/// The rows of a table with one JSON object per line; none when the corpora are not there.
func corpusRows(_ path: String) throws -> [JSONValue] {
    guard let bytes = Corpora.file(path) else { return [] }
    return try bytes.split(separator: UInt8(ascii: "\n")).map {
        try JSONDecoder().decode(JSONValue.self, from: Data($0))
    }
}

// SPDX-License-Identifier: Apache-2.0
// What a strict decoder of JSON accepts.

import Base

/// The shape that a decoder with a fixed schema demands: a name it does not know, a number where it
/// wants text or the other way round is an error, as it is for Go's `jsonpb` and typed structs.
package indirect enum JSONShape: Sendable {
    case string
    /// A JSON number without fraction that fits the range.
    case integer(ClosedRange<Int64>)
    /// A 64-bit integer as protobuf's JSON has it: decimal digits in a string.
    case integerText
    /// A number, or a name of one that JSON lacks.
    case double
    case bool
    case null
    /// Whatever it is.
    case any
    case array(JSONShape)
    /// An object with any names and values of one shape.
    case map(JSONShape)
    /// An object with no other names than these.
    case object([String: JSONShape], required: Set<String> = [])
    /// A shape, or `null`.
    case optional(JSONShape)

    package static let uint32 = JSONShape.integer(0...Int64(UInt32.max))

    /// What is wrong with a text, each with the path to it; empty when a decoder would take it.
    package func faults(_ bytes: [UInt8]) -> [String] {
        bytes.withUnsafeBytes { raw in
            var reader = JSONReader(raw)
            var faults: [String] = []
            do {
                try check(&reader, "$", &faults)
                try reader.end()
            } catch { faults.append("not JSON: \(error)") }
            return faults
        }
    }

    private func check(
        _ reader: inout JSONReader, _ path: String, _ faults: inout [String]
    ) throws {
        let kind = try reader.peek()
        func refuse() throws {
            faults.append("\(path): \(kind) where the schema has \(self.name)")
            try reader.skipValue()
        }
        func take(_ wanted: JSONReader.Kind) throws {
            guard kind == wanted else { return try refuse() }
            try reader.skipValue()
        }
        switch self {
        case .any: try reader.skipValue()
        case .null: try take(.null)
        case .optional(let shape):
            if kind == .null {
                try reader.skipValue()
            } else {
                try shape.check(&reader, path, &faults)
            }
        case .bool: try take(.bool)
        case .string: try take(.string)
        case .integer(let range):
            guard kind == .number else { return try refuse() }
            let text = String(decoding: try reader.number(), as: UTF8.self)
            guard let value = Int64(text), range.contains(value) else {
                faults.append("\(path): \(text) is outside \(range)")
                return
            }
        case .integerText:
            guard kind == .string else { return try refuse() }
            let text = try reader.string().string
            if Int64(text) == nil, UInt64(text) == nil {
                faults.append("\(path): \"\(text)\" is no integer")
            }
        case .double:
            if kind == .string {
                let text = try reader.string().string
                if !["NaN", "Infinity", "-Infinity"].contains(text) {
                    faults.append("\(path): \"\(text)\" is no number")
                }
            } else {
                try take(.number)
            }
        case .array(let shape):
            guard kind == .array else { return try refuse() }
            try reader.beginArray()
            var i = 0
            while try reader.nextElement() {
                try shape.check(&reader, "\(path)[\(i)]", &faults)
                i += 1
            }
        case .map(let shape):
            guard kind == .object else { return try refuse() }
            try reader.beginObject()
            while let key = try reader.nextKey() {
                try shape.check(&reader, "\(path).\(key.string)", &faults)
            }
        case .object(let members, let required):
            guard kind == .object else { return try refuse() }
            var missing = required
            try reader.beginObject()
            while let key = try reader.nextKey() {
                let name = key.string
                missing.remove(name)
                guard let shape = members[name] else {
                    faults.append("\(path): unknown name \"\(name)\"")
                    try reader.skipValue()
                    continue
                }
                try shape.check(&reader, "\(path).\(name)", &faults)
            }
            for name in missing.sorted() { faults.append("\(path): lacks \"\(name)\"") }
        }
    }

    private var name: String {
        switch self {
        case .string: "a string"
        case .integer: "an integer"
        case .integerText: "an integer in a string"
        case .double: "a number"
        case .bool: "a boolean"
        case .null: "null"
        case .any: "anything"
        case .array: "an array"
        case .map, .object: "an object"
        case .optional(let shape): shape.name + " or null"
        }
    }
}

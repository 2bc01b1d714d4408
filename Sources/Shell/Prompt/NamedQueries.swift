// SPDX-License-Identifier: Apache-2.0
// Queries kept under names.

import Base
import FoundationEssentials

/// Queries by name, in a file of JSON lines `{"name":…,"query":…}`; the last of a name counts.
package struct NamedQueries: Sendable {
    private let path: String?
    private(set) var queries: [(name: String, query: String)] = []
    /// Queries and bytes of a file that are read at most.
    private static let limit = 1000
    private static let byteLimit = 4 << 20

    /// Reads the file when there is one; lines that are not such objects are left out.
    package init(path: String?) {
        self.path = path
        guard let path, let data = FileManager.default.contents(atPath: path) else { return }
        for line in data.prefix(Self.byteLimit).split(separator: UInt8(ascii: "\n")) {
            guard let value = try? JSONValue(parsing: Array(line)) else { continue }
            set(value["name"].text, value["query"].text)
        }
    }

    private mutating func set(_ name: String, _ query: String) {
        guard !name.isEmpty, !query.isEmpty, queries.count < Self.limit else { return }
        queries.removeAll { $0.name == name }
        queries.append((name, query))
    }

    /// Keeps a query.
    ///
    /// - Throws: `ShellError` for a name that is none, or when the file can't be written.
    mutating func save(_ name: String, _ query: String) throws {
        guard !name.isEmpty, name.allSatisfy({ $0.isLetter || $0.isNumber || "-_.".contains($0) })
        else {
            throw ShellError("a name has letters, digits, - _ and .: \\save NAME QUERY", .usage)
        }
        guard !query.isEmpty else { throw ShellError("no query to keep yet", .usage) }
        set(name, query)
        guard let path else { return }
        var text: [UInt8] = []
        for entry in queries {
            var writer = JSONWriter()
            writer.beginObject()
            writer.member("name", entry.name)
            writer.member("query", entry.query)
            writer.endObject()
            text += writer.bytes + [UInt8(ascii: "\n")]
        }
        try StatePath.replace(path, with: String(decoding: text, as: UTF8.self))
    }

    /// A kept query with `$NAME` replaced by the arguments `NAME=VALUE`.
    ///
    /// - Throws: `ShellError` when there is none of the name, or an argument is wrong.
    func query(_ name: String, arguments: [String]) throws -> String {
        guard var query = queries.last(where: { $0.name == name })?.query else {
            throw ShellError("no query is kept as \(name): \\saved lists them", .usage)
        }
        for argument in arguments {
            guard let equal = argument.firstIndex(of: "="), equal != argument.startIndex else {
                throw ShellError("\(argument) is not ARGUMENT=VALUE", .usage)
            }
            let value = String(argument[argument.index(after: equal)...])
            query = query.replacing("$" + argument[..<equal], with: value)
        }
        return query
    }
}

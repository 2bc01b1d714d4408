// SPDX-License-Identifier: Apache-2.0
// Queries kept under names.

import Base
import Glibc

/// Queries by name, in a file of JSON lines `{"name":…,"query":…}`; the last of a name counts.
package struct NamedQueries: Sendable {
    private let path: String?
    private(set) var queries: [(name: String, query: String)] = []
    /// Queries, and bytes of a file that are read, at most.
    static let limit = 1000
    private static let byteLimit = 4 << 20

    /// What of the file was not understood. It must not be written anew then: that would lose it.
    private var fault: String?

    /// Reads the file when there is one. What is wrong with it is said when a query is kept.
    package init(path: String?) {
        self.path = path
        guard let path, access(path, F_OK) == 0 else { return }
        do {
            let bytes = try fileBytes(path, limit: Self.byteLimit + 1)
            if bytes.count > Self.byteLimit { fault = "\(path) is larger than 4 MiB" }
            let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            for (number, line) in lines.enumerated() where !line.isEmpty {
                let value = try? JSONValue(parsing: Array(line))
                let (name, query) = (value?["name"].text ?? "", value?["query"].text ?? "")
                guard !name.isEmpty, !query.isEmpty, set(name, query) else {
                    fault = fault ?? "line \(number + 1) of \(path) is no kept query"
                    continue
                }
            }
        } catch { fault = "\(error)" }
    }

    /// Returns false when there is no room for another name.
    private mutating func set(_ name: String, _ query: String) -> Bool {
        let others = queries.filter { $0.name != name }
        guard others.count < Self.limit else { return false }
        queries = others + [(name, query)]
        return true
    }

    /// Keeps a query.
    ///
    /// - Throws: `ShellError` for a name that is none, for one too many, or when the file can't be
    ///   written or holds what was not understood.
    mutating func save(_ name: String, _ query: String) throws {
        guard !name.isEmpty, name.allSatisfy({ $0.isLetter || $0.isNumber || "-_.".contains($0) })
        else {
            throw ShellError("a name has letters, digits, - _ and .: \\save NAME QUERY", .usage)
        }
        guard !query.isEmpty else { throw ShellError("no query to keep yet", .usage) }
        if let fault {
            throw ShellError("\(fault): mend or remove it, so that nothing of it is lost", .usage)
        }
        guard set(name, query) else {
            throw ShellError("\(Self.limit) queries are kept, the most there may be", .usage)
        }
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

// SPDX-License-Identifier: Apache-2.0
// Texts that must not be shown.

import Base

/// A text that never appears where values are printed.
package struct Secret: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// The text itself, for whoever sends it.
    package let value: String

    package init(_ value: String) { self.value = value }

    package var description: String { value.isEmpty ? "" : "<secret>" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
    package var isEmpty: Bool { value.isEmpty }
}

/// A text that the configuration states or that lies in a file, which is read whenever it is used.
package enum TextSource: Hashable, Sendable {
    case inline(Secret)
    case file(String)

    /// Most bytes of a file that are taken.
    private static let byteLimit = 1 << 20

    /// The text as it stands.
    ///
    /// - Throws: `OutgoingError.failed` when the file cannot be read.
    func text() throws(OutgoingError) -> String {
        switch self {
        case .inline(let secret): return secret.value
        case .file(let path):
            do { return try Self.read(path) } catch {
                throw .failed("unable to read file \(path): \(error)")
            }
        }
    }

    private static func read(_ path: String) throws -> String {
        let files = LocalFileSystem()
        guard let size = try files.size(path) else { throw OutgoingError.failed("no such file") }
        guard size <= byteLimit else {
            throw OutgoingError.failed("it has more than \(byteLimit) bytes")
        }
        return String(decoding: try files.readAll(path), as: UTF8.self)
    }

    /// The text without white space around it when it comes from a file, as upstream takes it.
    func secret() throws(OutgoingError) -> String {
        let text = try text()
        guard case .file = self else { return text }
        var rest = text[...]
        while rest.first?.isWhitespace == true { rest = rest.dropFirst() }
        while rest.last?.isWhitespace == true { rest = rest.dropLast() }
        return String(rest)
    }

    /// The same with a relative path taken from a folder.
    func resolved(in directory: String) -> TextSource {
        if case .file(let path) = self { return .file(joinedPath(directory, path)) }
        return self
    }
}

/// A path taken from a folder; absolute and empty ones stay as they are.
func joinedPath(_ directory: String, _ path: String) -> String {
    if path.isEmpty || path.hasPrefix("/") || directory.isEmpty { return path }
    return directory.hasSuffix("/") ? directory + path : directory + "/" + path
}

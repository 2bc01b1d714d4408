// SPDX-License-Identifier: Apache-2.0
// Where the public test data lies, when it is there.

import FoundationEssentials

/// Public test data beside the checkout. It is read when present and never copied in.
package enum Corpora {
    /// The corpora's folder, or nil when this machine has none. `TERN_SHARED` overrides
    /// `../shared`.
    package static let folder: String? = {
        let manager = FileManager.default
        let shared =
            ProcessInfo.processInfo.environment["TERN_SHARED"]
            ?? packageRoot + "/../shared"
        let path = shared + "/corpora"
        return manager.fileExists(atPath: path) ? path : nil
    }()

    /// The package root, found from this file's own place.
    package static let packageRoot: String = {
        var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        parts.removeLast(3)
        return parts.joined(separator: "/")
    }()

    /// A file of the corpora, or nil when it is not there.
    package static func file(_ path: String) -> [UInt8]? {
        folder.flatMap { FileManager.default.contents(atPath: $0 + "/" + path) }.map { [UInt8]($0) }
    }

    /// Names below a folder of the corpora, ascending.
    package static func names(under path: String) -> [String] {
        guard let folder,
            let names = try? FileManager.default.subpathsOfDirectory(atPath: folder + "/" + path)
        else { return [] }
        return names.sorted()
    }
}

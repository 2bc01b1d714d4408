// SPDX-License-Identifier: Apache-2.0
// Layout, lock and version of a data directory.

import Base

/// A locked data directory:
///
///     LOCK        locked while in use, holds the process id of the holder
///     VERSION     "tern data 1"
///     wal/        NNNNNNNN.wal
///     parts/      NNNNNNNNNNNN.part
///     manifest/   NNNNNNNN.manifest
///     forward/    NNNNNNNN.queue, cursors: what waits for other servers; where any are configured
///     retention-classes  numbers of the retention rules; only where there are some
///     quarantine/ files set aside because the manifest was damaged; only where that happened
///     snapshots/  data directories of their own that share part files with this one
package struct DataDirectory: Sendable {
    static let version = 1
    private static let versionPrefix = "tern data "
    /// What the file VERSION of a directory of this version holds.
    static let versionFile = Array("\(versionPrefix)\(version)\n".utf8)

    let path: String
    let lock: any FileLock

    var log: String { path + "/wal" }
    var parts: String { path + "/parts" }
    var manifest: String { path + "/manifest" }
    var quarantine: String { path + "/quarantine" }
    var snapshots: String { path + "/snapshots" }

    /// Locks the directory and checks its version.
    ///
    /// - Parameter create: make a new data directory where there is nothing.
    package init(
        _ given: String, files: any FileSystem = LocalFileSystem(), create: Bool = true
    ) throws {
        var path = given
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        self.path = path
        if create {
            try files.makeDirectory(path)
        } else if try files.size(path + "/VERSION") == nil {
            throw KernelError.notADataDirectory(path: path, problem: "it has no file VERSION")
        }
        switch try files.lock(path + "/LOCK") {
        case .held(let processID): throw KernelError.inUse(path: path, processID: processID)
        case .locked(let lock): self.lock = lock
        }
        do {
            try checkVersion(files, create: create)
        } catch {
            lock.unlock()
            throw error
        }
    }

    /// Makes the name of the data directory itself durable.
    private func syncParent(_ files: any FileSystem) throws {
        let slash = path.lastIndex(of: "/")
        let parent = slash.map { path[..<$0].isEmpty ? "/" : String(path[..<$0]) } ?? "."
        do throws(FileError) {
            try files.syncDirectory(parent)
        } catch {
            // Somebody else's directory that cannot be opened cannot be synced either; its owner
            // made ours.
            guard error.isNotPermitted else { throw error }
        }
    }

    private func checkVersion(_ files: any FileSystem, create: Bool) throws {
        let file = path + "/VERSION"
        guard try files.size(file) != nil else {
            guard create else { return }
            // A directory of somebody else's is not taken over.
            let foreign = try files.list(path).first {
                ![
                    "LOCK", "VERSION.tmp", "wal", "parts", "manifest", "quarantine", "lost+found",
                ].contains($0)
            }
            if let foreign {
                throw KernelError.notADataDirectory(
                    path: path, problem: "it has no file VERSION but holds \(foreign)")
            }
            // VERSION is last: where it is, everything else is.
            for directory in [log, parts, manifest] { try files.makeDirectory(directory) }
            try files.syncDirectory(path)
            try syncParent(files)
            try files.replace(file, in: path, with: Self.versionFile)
            return
        }
        let text = String(
            decoding: try files.read(file, offset: 0, count: 64), as: UTF8.self)
        guard text.hasPrefix(Self.versionPrefix),
            let found = Int(text.dropFirst(Self.versionPrefix.count).prefix { $0.isNumber })
        else {
            throw KernelError.notADataDirectory(
                path: path, problem: "its file VERSION does not begin with '\(Self.versionPrefix)'")
        }
        guard found <= Self.version else {
            throw KernelError.newerVersion(
                path: file, found: found, readable: Self.version)
        }
    }
}

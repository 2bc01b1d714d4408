// SPDX-License-Identifier: Apache-2.0
// The seam to immutable bytes.

import Base

/// A blob as a listing shows it.
package struct BlobInfo: Sendable, Hashable {
    package var name: String
    package var byteCount: Int
}

/// Named immutable bytes: files here, objects in an object store when scaled out.
package protocol BlobStore: Sendable {
    /// Stores blobs whole; all are durable when this returns. After an error any of them may
    /// exist, none half-written. Blocks.
    func put(_ blobs: [(name: String, bytes: [UInt8])]) throws(FileError)
    /// A range of a blob; shorter only where the blob ends.
    func get(_ name: String, offset: Int, count: Int) throws(FileError) -> [UInt8]
    /// A whole blob as memory, which stays valid after the blob is deleted.
    func map(_ name: String) throws(FileError) -> SharedBytes
    /// Gives blobs the same names in another place as well, which need not exist yet; all are durable
    /// there when this returns. Embedded these are hard links and cost no space. After an error any
    /// of them may exist there, and the place itself.
    func link(_ names: [String], into place: String) throws(FileError)
    /// All blobs by name.
    func list() throws(FileError) -> [BlobInfo]
    /// Deletes blobs; missing ones are fine.
    func delete(_ names: [String]) throws(FileError)
}

/// Blobs as files of one directory: written beside, synced, renamed, directory synced.
package struct DirectoryBlobStore: BlobStore {
    private let directory: String
    private let files: any FileSystem

    package init(directory: String, files: any FileSystem) {
        self.directory = directory
        self.files = files
    }

    package func put(_ blobs: [(name: String, bytes: [UInt8])]) throws(FileError) {
        guard !blobs.isEmpty else { return }
        for blob in blobs {
            let path = directory + "/" + blob.name
            let file = try files.create(path + ".tmp")
            do throws(FileError) {
                defer { file.close() }
                try file.write([blob.bytes], at: 0)
                try file.sync()
            } catch {
                discard(path + ".tmp")
                throw error
            }
            try files.rename(path + ".tmp", to: path)
        }
        try files.syncDirectory(directory)
    }

    /// Gives space back after a failure that is being reported; opening tries again.
    private func discard(_ path: String) {
        do throws(FileError) { try files.remove(path) } catch { return }
    }

    package func get(_ name: String, offset: Int, count: Int) throws(FileError) -> [UInt8] {
        try files.read(directory + "/" + name, offset: offset, count: count)
    }

    package func map(_ name: String) throws(FileError) -> SharedBytes {
        try files.map(directory + "/" + name)
    }

    package func link(_ names: [String], into place: String) throws(FileError) {
        try files.makeDirectory(place)
        for name in names { try files.link(directory + "/" + name, to: place + "/" + name) }
        try files.syncDirectory(place)
    }

    package func list() throws(FileError) -> [BlobInfo] {
        var found: [BlobInfo] = []
        for name in try files.list(directory) {
            guard let count = try files.size(directory + "/" + name) else { continue }
            found.append(BlobInfo(name: name, byteCount: count))
        }
        return found
    }

    package func delete(_ names: [String]) throws(FileError) {
        guard !names.isEmpty else { return }
        for name in names {
            do throws(FileError) {
                try files.remove(directory + "/" + name)
            } catch {
                guard error.isMissing else { throw error }
            }
        }
        try files.syncDirectory(directory)
    }
}

/// The name of a part's blob.
enum PartName {
    static func blob(_ id: UInt64) -> String {
        let digits = String(id)
        return String(repeating: "0", count: max(0, 12 - digits.count)) + digits + ".part"
    }

    static func id(_ name: String) -> UInt64? {
        guard name.hasSuffix(".part") else { return nil }
        let digits = name.dropLast(5)
        guard digits.count >= 12, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return UInt64(digits)
    }
}

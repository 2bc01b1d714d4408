// SPDX-License-Identifier: Apache-2.0
// The seam between the product and the kernel's files.

/// Everything that durable state needs of a file system, and nothing more. The product runs on
/// `LocalFileSystem`; the fault tests run on a disk in memory that fails, tears and forgets.
///
/// Durability follows the strictest reading of POSIX: bytes are durable after `sync()` of their
/// file; names (create, link, rename, remove) are durable after `syncDirectory` of their directory.
/// Every call blocks: never call one on the cooperative pool.
package protocol FileSystem: Sendable {
    /// Makes a directory and its missing parents. Existing ones are fine.
    func makeDirectory(_ path: String) throws(FileError)
    /// Makes an empty file for writing; an existing one is emptied.
    func create(_ path: String) throws(FileError) -> any WritableFile
    /// Opens an existing file for writing, its bytes untouched.
    func open(_ path: String) throws(FileError) -> any WritableFile
    /// Reads up to `count` bytes from `offset`; fewer only at the end of the file.
    func read(_ path: String, offset: Int, count: Int) throws(FileError) -> [UInt8]
    /// The whole file as memory. It stays readable after the file was removed, but a file that is
    /// cut short while mapped makes reading it fatal: map only what is never changed.
    func map(_ path: String) throws(FileError) -> SharedBytes
    /// Size in bytes, or nil when there is no such file.
    func size(_ path: String) throws(FileError) -> Int?
    /// Names in a directory, sorted, without `.` and `..`.
    func list(_ directory: String) throws(FileError) -> [String]
    /// Gives a file a second name on the same file system; the bytes stay until the last name is
    /// gone. An existing target is an error.
    func link(_ source: String, to target: String) throws(FileError)
    /// Moves a file over another one, atomically.
    func rename(_ source: String, to target: String) throws(FileError)
    /// Removes a file. A missing one is an error.
    func remove(_ path: String) throws(FileError)
    /// Makes the names in a directory durable.
    func syncDirectory(_ path: String) throws(FileError)
    /// Takes the exclusive lock of a lock file, making the file when missing, without waiting.
    func lock(_ path: String) throws(FileError) -> FileLocking
    /// Bytes that this process may still write to the file system that holds `path`.
    func freeBytes(_ path: String) throws(FileError) -> Int
}

/// A file open for writing. One thread writes at a time; closing is final and happens at the
/// latest when the last reference goes.
package protocol WritableFile: AnyObject, Sendable {
    var path: String { get }
    /// Writes all pieces one after another at `offset`, in one system call where that is possible.
    /// After an error any part of them may have been written.
    func write(_ pieces: [[UInt8]], at offset: Int) throws(FileError)
    /// Makes the bytes (and the size) durable. After an error, bytes written since the last
    /// success may be lost although they can still be read: never sync again and trust it.
    func sync() throws(FileError)
    func truncate(to byteCount: Int) throws(FileError)
    func close()
}

/// An exclusive lock, held until `unlock` or the end of the process.
package protocol FileLock: AnyObject, Sendable {
    func unlock()
}

/// What trying to lock came to.
package enum FileLocking: Sendable {
    case locked(any FileLock)
    /// Somebody else holds it; the process id that the holder left in the file.
    case held(by: String)
}

extension FileSystem {
    /// Reads a whole file into memory.
    package func readAll(_ path: String) throws(FileError) -> [UInt8] {
        guard let count = try size(path) else {
            throw FileError(.read, path, code: FileError.missing)
        }
        return try read(path, offset: 0, count: count)
    }

    /// Replaces a small file in one step: written beside it, synced, renamed, directory synced.
    package func replace(
        _ path: String, in directory: String, with bytes: [UInt8]
    ) throws(FileError) {
        let beside = path + ".tmp"
        let file = try create(beside)
        defer { file.close() }
        try file.write([bytes], at: 0)
        try file.sync()
        try rename(beside, to: path)
        try syncDirectory(directory)
    }
}

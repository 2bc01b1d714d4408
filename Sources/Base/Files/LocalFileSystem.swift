// SPDX-License-Identifier: Apache-2.0
// The real file system. The only place that calls the kernel for files.

import Glibc

/// Files of the machine.
package struct LocalFileSystem: FileSystem {
    package init() {}

    package func makeDirectory(_ path: String) throws(FileError) {
        var end = path.startIndex
        while end != path.endIndex {
            end = path[end...].dropFirst().firstIndex(of: "/") ?? path.endIndex
            if mkdir(String(path[..<end]), 0o755) == 0 || errno == EEXIST { continue }
            // Of an existing directory on a read-only file system, for one.
            var information = stat()
            if stat(String(path[..<end]), &information) == 0 { continue }
            throw FileError(.makeDirectory, path, code: errno)
        }
        var information = stat()
        guard stat(path, &information) == 0 else {
            throw FileError(.makeDirectory, path, code: errno)
        }
        guard information.st_mode & S_IFMT == S_IFDIR else {
            throw FileError(.makeDirectory, path, code: ENOTDIR)
        }
    }

    package func create(_ path: String) throws(FileError) -> any WritableFile {
        let descriptor = retrying {
            Glibc.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        }
        guard descriptor >= 0 else { throw FileError(.create, path, code: errno) }
        return LocalFile(path: path, descriptor: descriptor)
    }

    package func open(_ path: String) throws(FileError) -> any WritableFile {
        let descriptor = retrying { Glibc.open(path, O_WRONLY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw FileError(.open, path, code: errno) }
        return LocalFile(path: path, descriptor: descriptor)
    }

    package func read(_ path: String, offset: Int, count: Int) throws(FileError) -> [UInt8] {
        let descriptor = retrying { Glibc.open(path, O_RDONLY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw FileError(.read, path, code: errno) }
        defer { Glibc.close(descriptor) }
        guard count > 0 else { return [] }
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count, let base = buffer.baseAddress {
                let n = pread(descriptor, base + filled, count - filled, offset + filled)
                if n > 0 {
                    filled += n
                } else if n == 0 {
                    return
                } else if errno != EINTR {
                    failure = errno
                    return
                }
            }
        }
        guard failure == 0 else { throw FileError(.read, path, code: failure) }
        return bytes
    }

    package func map(_ path: String) throws(FileError) -> SharedBytes {
        let descriptor = retrying { Glibc.open(path, O_RDONLY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw FileError(.map, path, code: errno) }
        defer { Glibc.close(descriptor) }
        var information = stat()
        guard fstat(descriptor, &information) == 0 else {
            throw FileError(.map, path, code: errno)
        }
        let count = Int(information.st_size)
        guard count > 0 else { return SharedBytes([]) }
        guard let base = mmap(nil, count, PROT_READ, MAP_SHARED, descriptor, 0), base != MAP_FAILED
        else { throw FileError(.map, path, code: errno) }
        let address = UInt(bitPattern: base)
        return SharedBytes(
            UnsafeRawBufferPointer(start: base, count: count), release: { munmap(base, count) },
            // Nothing is ever written through the mapping, so no page can be lost by this.
            dropPages: {
                madvise(UnsafeMutableRawPointer(bitPattern: address), count, MADV_DONTNEED)
            }
        )
    }

    package func size(_ path: String) throws(FileError) -> Int? {
        var information = stat()
        guard stat(path, &information) == 0 else {
            if errno == ENOENT { return nil }
            throw FileError(.size, path, code: errno)
        }
        return Int(information.st_size)
    }

    package func list(_ directory: String) throws(FileError) -> [String] {
        guard let stream = opendir(directory) else {
            throw FileError(.list, directory, code: errno)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else { break }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
            }
            if name != "." && name != ".." { names.append(name) }
        }
        guard errno == 0 else { throw FileError(.list, directory, code: errno) }
        return names.sorted()
    }

    package func link(_ source: String, to target: String) throws(FileError) {
        guard Glibc.link(source, target) == 0 else {
            throw FileError(.link, target, code: errno)
        }
    }

    package func rename(_ source: String, to target: String) throws(FileError) {
        guard Glibc.rename(source, target) == 0 else {
            throw FileError(.rename, source, code: errno)
        }
    }

    package func remove(_ path: String) throws(FileError) {
        guard unlink(path) == 0 else { throw FileError(.remove, path, code: errno) }
    }

    package func syncDirectory(_ path: String) throws(FileError) {
        let descriptor = retrying { Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw FileError(.syncDirectory, path, code: errno) }
        defer { Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else { throw FileError(.syncDirectory, path, code: errno) }
    }

    package func lock(_ path: String) throws(FileError) -> FileLocking {
        let descriptor = retrying { Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644) }
        guard descriptor >= 0 else { throw FileError(.lock, path, code: errno) }
        guard retrying({ flock(descriptor, LOCK_EX | LOCK_NB) }) == 0 else {
            let code = errno
            Glibc.close(descriptor)
            guard code == EWOULDBLOCK else { throw FileError(.lock, path, code: code) }
            let left = try read(path, offset: 0, count: 32)
            let digits = left.prefix { (0x30...0x39).contains($0) }
            return .held(by: digits.isEmpty ? "unknown" : String(decoding: digits, as: UTF8.self))
        }
        // The process id is for the message above only; the lock itself is the kernel's.
        let text = Array("\(getpid())\n".utf8)
        guard ftruncate(descriptor, 0) == 0,
            pwrite(descriptor, text, text.count, 0) == text.count
        else {
            let code = errno
            Glibc.close(descriptor)
            throw FileError(.lock, path, code: code)
        }
        return .locked(LocalFileLock(descriptor: descriptor))
    }

    package func freeBytes(_ path: String) throws(FileError) -> Int {
        var information = statvfs()
        guard statvfs(path, &information) == 0 else {
            throw FileError(.freeBytes, path, code: errno)
        }
        let (bytes, overflow) = UInt64(information.f_bavail)
            .multipliedReportingOverflow(by: UInt64(information.f_frsize))
        return overflow ? Int.max : Int(clamping: bytes)
    }
}

/// Repeats a call that a signal interrupted.
private func retrying(_ call: () -> Int32) -> Int32 {
    while true {
        let result = call()
        if result >= 0 || errno != EINTR { return result }
    }
}

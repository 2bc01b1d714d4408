// SPDX-License-Identifier: Apache-2.0
// Tests of the real file system behind the seam.

import Base
import Glibc
import TestKit
import Testing

struct LocalFileSystemTests {
    private let files = LocalFileSystem()

    @Test func piecesAreWrittenOneAfterAnother() async throws {
        try await withTemporaryDirectory { directory in
            let file = try files.create(directory + "/a")
            let pieces = (0..<200).map { index in [UInt8](repeating: UInt8(index), count: index) }
            try file.write(pieces, at: 0)
            try file.sync()
            #expect(try files.readAll(directory + "/a") == Array(pieces.joined()))
            try file.write([[1, 2], [], [3]], at: 10)
            #expect(try files.read(directory + "/a", offset: 9, count: 5)[1...3] == [1, 2, 3])
            try file.truncate(to: 4)
            #expect(try files.size(directory + "/a") == 4)
            file.close()
            file.close()
            #expect(throws: FileError(.write, directory + "/a", code: EBADF)) {
                try file.write([[1]], at: 0)
            }
        }
    }

    @Test func readingStopsAtTheEnd() async throws {
        try await withTemporaryDirectory { directory in
            try files.create(directory + "/a").write([[1, 2, 3]], at: 0)
            #expect(try files.read(directory + "/a", offset: 1, count: 100) == [2, 3])
            #expect(try files.read(directory + "/a", offset: 7, count: 100) == [])
            #expect(throws: FileError(.read, directory + "/b", code: ENOENT)) {
                try files.read(directory + "/b", offset: 0, count: 1)
            }
        }
    }

    @Test func aMapOutlivesItsFile() async throws {
        try await withTemporaryDirectory { directory in
            try files.create(directory + "/a").write([[5, 6]], at: 0)
            let bytes = try files.map(directory + "/a")
            try files.remove(directory + "/a")
            #expect(bytes.withBytes { Array($0) } == [5, 6])
            _ = try files.create(directory + "/empty")
            #expect(try files.map(directory + "/empty").count == 0)
        }
    }

    @Test func directoriesAndNames() async throws {
        try await withTemporaryDirectory { directory in
            try files.makeDirectory(directory + "/x/y/z")
            try files.makeDirectory(directory + "/x/y/z")
            try files.replace(
                directory + "/x/y/z/b", in: directory + "/x/y/z", with: [1])
            try files.replace(
                directory + "/x/y/z/b", in: directory + "/x/y/z", with: [2])
            _ = try files.create(directory + "/x/y/z/a")
            #expect(try files.list(directory + "/x/y/z") == ["a", "b"])
            #expect(try files.readAll(directory + "/x/y/z/b") == [2])
            #expect(try files.size(directory + "/nothing") == nil)
            #expect(throws: FileError(.makeDirectory, directory + "/x/y/z/a", code: ENOTDIR)) {
                try files.makeDirectory(directory + "/x/y/z/a")
            }
            #expect(try files.freeBytes(directory) > 0)
        }
    }

    @Test func aLockIsHeldByOneAndNamesItsProcess() async throws {
        try await withTemporaryDirectory { directory in
            guard case .locked(let first) = try files.lock(directory + "/LOCK") else {
                Issue.record("not locked")
                return
            }
            guard case .held(let by) = try files.lock(directory + "/LOCK") else {
                Issue.record("locked twice")
                return
            }
            #expect(by == "\(getpid())")
            first.unlock()
            guard case .locked = try files.lock(directory + "/LOCK") else {
                Issue.record("not unlocked")
                return
            }
        }
    }

    @Test func shortWritesAreContinued() {
        let pieces = (1...150).map { index in
            [UInt8](repeating: UInt8(index), count: index % 7 * 13)
        }
        for step in [1, 2, 13, 64, 1000] {
            var written: [UInt8] = []
            let code = GatheredWrite.writeAll(pieces, at: 500) { vectors, count, position in
                #expect(position == 500 + written.count)
                #expect(count <= GatheredWrite.maxPieces)
                var room = step
                for index in 0..<Int(count) where room > 0 {
                    let part = UnsafeRawBufferPointer(
                        start: vectors[index].iov_base, count: min(room, vectors[index].iov_len))
                    written += part
                    room -= part.count
                }
                return step - room
            }
            #expect(code == 0)
            #expect(written == Array(pieces.joined()))
        }
    }

    @Test func interruptedWritesAreRepeatedAndFailedOnesReported() {
        var calls = 0
        let code = GatheredWrite.writeAll([[1, 2, 3]], at: 0) { _, _, _ in
            calls += 1
            if calls < 3 {
                errno = EINTR
                return -1
            }
            errno = ENOSPC
            return -1
        }
        #expect(code == ENOSPC)
        #expect(calls == 3)
        #expect(GatheredWrite.writeAll([[1]], at: 0) { _, _, _ in 0 } == EIO)
        #expect(FileError(.write, "/a", code: ENOSPC).isNoSpace)
        #expect(
            FileError(.sync, "/a", code: EIO).description == "cannot sync /a: Input/output error")
    }
}

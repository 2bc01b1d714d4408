// SPDX-License-Identifier: Apache-2.0
// Tests of lock, version and layout of a data directory.

import Base
import Storage
import TestKit
import Testing

struct DataDirectoryTests {
    @Test func aDirectoryInUseNamesItsHolder() async throws {
        let disk = FaultyDisk()
        let server = try ToyServer(disk)
        #expect(throws: KernelError.inUse(path: "/data", processID: "4711")) {
            try ToyServer(disk)
        }
        #expect(throws: KernelError.inUse(path: "/data", processID: "4711")) {
            try StorageCheck.check(path: "/data", files: disk)
        }
        await server.kernel.stop()
        let again = try ToyServer(disk)
        await again.kernel.stop()
        #expect(
            KernelError.inUse(path: "/data", processID: "12").description
                == "data directory /data is in use by process 12: stop it, or choose another "
                + "directory")
    }

    @Test func aNewerVersionIsRefused() async throws {
        let disk = FaultyDisk()
        let server = try ToyServer(disk)
        await server.kernel.stop()
        #expect(disk.contents("/data/VERSION") == Array("tern data 1\n".utf8))
        disk.overwrite("/data/VERSION") { $0 = Array("tern data 7\n".utf8) }
        #expect(
            throws: KernelError.newerVersion(path: "/data/VERSION", found: 7, readable: 1)
        ) { try ToyServer(disk) }
        // The lock was given back.
        disk.overwrite("/data/VERSION") { $0 = Array("tern data 1\n".utf8) }
        let again = try ToyServer(disk)
        await again.kernel.stop()
    }

    @Test func aDirectoryOfSomebodyElseIsNotTakenOver() throws {
        let disk = FaultyDisk()
        try disk.makeDirectory("/data")
        _ = try disk.create("/data/thesis.txt")
        #expect(
            throws: KernelError.notADataDirectory(
                path: "/data", problem: "it has no file VERSION but holds thesis.txt")
        ) { try ToyServer(disk) }
        #expect(disk.paths == ["/data/LOCK", "/data/thesis.txt"])
    }

    @Test func checkingWhatIsNoDataDirectoryMakesNothing() throws {
        let disk = FaultyDisk()
        try disk.makeDirectory("/data")
        #expect(throws: KernelError.self) { try StorageCheck.check(path: "/data", files: disk) }
        #expect(disk.paths == [])
    }

    @Test func orphansAreRemovedAndForeignFilesLeftAlone() async throws {
        let disk = FaultyDisk()
        let server = try ToyServer(disk)
        try await server.commit(1)
        try await server.kernel.sealNow()
        await server.kernel.stop()
        for name in ["000000000099.part", "000000000100.part.tmp", "notes.txt"] {
            _ = try disk.create("/data/parts/" + name)
        }
        let again = try ToyServer(disk)
        #expect(
            disk.paths.filter { $0.hasPrefix("/data/parts/") }
                == ["/data/parts/000000000001.part", "/data/parts/notes.txt"])
        #expect(again.kernel.status.faults.map(\.file) == ["parts/notes.txt"])
        // The id of an orphan is never given again.
        try await again.commit(2)
        try await again.kernel.sealNow()
        #expect(disk.paths.contains("/data/parts/000000000100.part"))
        await again.kernel.stop()
    }
}

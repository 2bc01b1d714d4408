// SPDX-License-Identifier: Apache-2.0
// Tests of the kernel on the machine's own file system.

import Base
import Storage
import TestKit
import Testing

struct LocalKernelTests {
    @Test func aLifeOnARealDisk() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/deep/data/"
            let files = LocalFileSystem()
            let first = try ToyServer(files, clock: SystemClock(), path: path) {
                $0.segmentBytes = 10_000
            }
            first.kernel.start()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<8 {
                    group.addTask {
                        for round in 0..<25 {
                            try await first.commit(UInt64(worker * 25 + round), bytes: 700)
                        }
                    }
                }
                try await group.waitForAll()
            }
            try await first.kernel.sealNow()
            for key in 200..<220 { try await first.commit(UInt64(key), bytes: 700) }
            #expect(throws: KernelError.self) { try ToyServer(files, path: path) }
            await first.kernel.stop()
            let report = try StorageCheck.check(
                path: path, files: files, storesBySignal: [.logs: ToyStore()])
            #expect(report.isSound)
            #expect(report.records == 20)
            #expect(report.notes == [])
            let second = try ToyServer(files, clock: SystemClock(), path: path)
            #expect(second.keys == Array(0..<220))
            #expect(second.kernel.status.faults == [])
            await second.kernel.stop(flush: true)
            let names = try files.list(directory + "/deep/data")
            #expect(names == ["LOCK", "VERSION", "manifest", "parts", "wal"])
        }
    }
}

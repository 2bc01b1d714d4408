// SPDX-License-Identifier: Apache-2.0
// Pages of mapped files are given back and come again.

import Base
import Glibc
import TestKit
import Testing

@Suite struct MappedPagesTests {
    @Test func releasedPagesLeaveTheResidentSetAndReadTheSame() async throws {
        try await withTemporaryDirectory { directory in
            let files = LocalFileSystem()
            let content = [UInt8](repeating: 0xA7, count: 32 << 20)
            let file = try files.create(directory + "/a")
            defer { file.close() }
            try file.write([content], at: 0)
            let mapped = try files.map(directory + "/a")

            func isSame() -> Bool {
                mapped.withBytes { bytes in
                    content.withUnsafeBytes { all in
                        guard let a = bytes.baseAddress, let b = all.baseAddress else {
                            return false
                        }
                        return bytes.count == all.count && memcmp(a, b, all.count) == 0
                    }
                }
            }
            #expect(isSame())
            let before = residentFileBytes()
            #expect(before > content.count)
            mapped.releaseResidentPages()
            // Other tests map files at the same time, but not half of this much.
            #expect(residentFileBytes() < before - content.count / 2)
            #expect(isSame())
        }
    }
}

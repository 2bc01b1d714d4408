// SPDX-License-Identifier: Apache-2.0
// The server's own files, whole, damaged and made up.

import Base
import Testing

@testable import Server

@Suite struct ChecksummedFileTests {
    private static let file = ChecksummedFile("TERNTEST", version: 3, "a test")

    @Test func damageOfAnyByteIsFound() throws {
        let good = Self.file.framed([1, 2, 3])
        let body = try good.withUnsafeBytes { try Self.file.body(of: $0).remaining }
        #expect(body == 3)
        for offset in good.indices where !(10..<12).contains(offset) {
            var bad = good
            bad[offset] ^= 0x40
            #expect(throws: MalformedBytes.self, "byte \(offset)") {
                try bad.withUnsafeBytes { _ = try Self.file.body(of: $0) }
            }
        }
        for count in good.indices {
            #expect(throws: MalformedBytes.self) {
                try good[..<count].withUnsafeBytes { _ = try Self.file.body(of: $0) }
            }
        }
    }

    /// Bodies with a right checksum that nobody wrote end in an error or in a list, not in a crash.
    @Test func madeUpBodiesAreRefusedOrRead() {
        var numbers = SplitMix64(seed: 5)
        for round in 0..<4000 {
            let body = (0..<Int(numbers.next() % 60)).map { _ in
                round % 2 == 0
                    ? UInt8(truncatingIfNeeded: numbers.next()) : UInt8(numbers.next() % 6)
            }
            DeleteRequestFile.file.framed(body).withUnsafeBytes {
                do {
                    #expect(try DeleteRequestFile.decoded($0).count <= DeleteRequestFile.maxCount)
                } catch {
                    #expect(!"\(error)".isEmpty)
                }
            }
            StoredRules.file.framed(body).withUnsafeBytes {
                do { #expect(try StoredRules.decoded($0).count <= 60) } catch {
                    #expect(!"\(error)".isEmpty)
                }
            }
        }
    }
}

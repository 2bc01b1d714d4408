// SPDX-License-Identifier: Apache-2.0
// Columns of numbers come back as they were, and damaged ones are refused or safe.

import Base
import Telemetry
import Testing

@testable import TraceStore

@Suite struct NumberColumnTests {
    private func decoded<R>(
        _ bytes: [UInt8], _ body: (inout ByteReader) throws(MalformedBytes) -> R
    ) -> R? {
        bytes.withUnsafeBytes { raw in
            var reader = ByteReader(raw)
            do throws(MalformedBytes) {
                let value = try body(&reader)
                return reader.isAtEnd ? value : nil
            } catch { return nil }
        }
    }

    @Test func numbersOfAnyWidthComeBack() {
        var random = Seeded(4)
        for round in 0..<3000 {
            let count = random.below(40)
            let bits = UInt64(random.below(65))
            let mask: UInt64 = bits == 64 ? .max : 1 << bits - 1
            let least =
                round % 3 == 0 ? random.next() : UInt64(bitPattern: Int64(random.below(999)) - 500)
            let numbers = (0..<count).map { _ in least &+ (random.next() & mask) }
            var ints = ByteWriter(), varints = ByteWriter()
            IntColumn.encode(numbers, into: &ints)
            for number in numbers { varints.varint(number) }
            #expect(
                decoded(ints.bytes) { r throws(MalformedBytes) in
                    try IntColumn.decode(&r, count: count)
                } == numbers)
            #expect(
                decoded(varints.bytes) { r throws(MalformedBytes) in
                    try VarintColumn.decode(&r, count: count)
                } == numbers)
            for var bytes in [ints.bytes, varints.bytes] where !bytes.isEmpty {
                bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
                _ = decoded(bytes) { r throws(MalformedBytes) in
                    try IntColumn.decode(&r, count: count)
                }
                _ = decoded(bytes) { r throws(MalformedBytes) in
                    try VarintColumn.decode(&r, count: count)
                }
            }
        }
    }

    @Test func varintsOfElevenBytesAreRefused() {
        let long = [UInt8](repeating: 0xff, count: 10) + [1] + [UInt8](repeating: 0, count: 20)
        #expect(
            decoded(long) { r throws(MalformedBytes) in try VarintColumn.decode(&r, count: 1) }
                == nil)
        var most = ByteWriter()
        most.varint(UInt64.max)
        most.raw([UInt8](repeating: 3, count: 12))
        #expect(
            decoded(most.bytes) { r throws(MalformedBytes) in
                try VarintColumn.decode(&r, count: 13)
            } == [.max] + [UInt64](repeating: 3, count: 12))
    }
}

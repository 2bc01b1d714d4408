// SPDX-License-Identifier: Apache-2.0
// CRC32C, whichever way it is worked out.

import Testing

@testable import Base

/// Bit by bit. Source: RFC 3720, appendix B.4 (polynomial 0x11EDC6F41, reflected).
private func slowChecksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
    var sum = UInt32.max
    for byte in bytes {
        sum ^= UInt32(byte)
        for _ in 0..<8 { sum = sum & 1 == 1 ? sum >> 1 ^ 0x82f6_3b78 : sum >> 1 }
    }
    return ~sum
}

@Test func checksumsOfThePublishedExamples() {
    #expect(crc32c(Array("123456789".utf8)) == 0xe306_9283)
    #expect(crc32c([UInt8](repeating: 0, count: 32)) == 0x8a91_36aa)
    #expect(crc32c([UInt8](repeating: 0xff, count: 32)) == 0x62a8_ab43)
    #expect(crc32c([]) == 0)
}

/// Long inputs are summed in stretches side by side, the rest one after the other.
@Test func checksumsOfAnyLengthAndOfPieces() {
    var random = SplitMix64(seed: 5)
    let bytes = (0..<20_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    for count in [0, 1, 7, 8, 1023, 3071, 3072, 3073, 3080, 6144, 9300, 20_000] {
        let whole = Array(bytes[..<count])
        let expected = slowChecksum(whole)
        #expect(crc32c(whole) == expected, "\(count)")
        let cut = count * 2 / 3
        let chained = whole[cut...].withUnsafeBytes { crc32c($0, crc32c(Array(whole[..<cut]))) }
        #expect(chained == expected, "\(count), cut at \(cut)")
    }
}

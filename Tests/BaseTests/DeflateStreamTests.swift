// SPDX-License-Identifier: Apache-2.0
// Compression piece by piece against decompression at once.

import Base
import Testing

@Test(arguments: [Deflate.Format.gzip, .deflate])
func piecesUnpackToTheWhole(_ format: Deflate.Format) throws {
    var random = SplitMix64(seed: 9)
    for pieceCount in [0, 1, 2, 40] {
        guard var stream = DeflateStream(format) else {
            Issue.record("no memory")
            return
        }
        var whole: [UInt8] = []
        var packed: [UInt8] = []
        for number in 0..<pieceCount {
            // What packs well, what does not and is larger than the output's blocks, and nothing.
            let count = Int(random.next() % 200_000)
            let piece =
                switch number % 3 {
                case 0: [UInt8](repeating: UInt8(number), count: count)
                case 1: (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
                default: [UInt8]()
                }
            whole += piece
            packed += try stream.write(piece, isLast: false)
        }
        packed += try stream.write([], isLast: true)
        let unpacked = try packed.withUnsafeBytes {
            try Deflate.decompress($0, format, limit: 1 << 24)
        }
        #expect(unpacked == whole, "\(pieceCount) pieces")
        // What comes after the end is refused, not lost.
        var isRefused = false
        do throws(CompressionError) { _ = try stream.write([1], isLast: false) } catch {
            isRefused = true
        }
        #expect(isRefused)
    }
}

// SPDX-License-Identifier: Apache-2.0
// Strings that are written come back when they are read.

import Base
import Testing

@Test func stringsComeBackWhereverTheirEscapesStand() throws {
    var random = SplitMix64(seed: 4)
    let tokens = [
        "a", "\"", "\\", "\n", "\u{1}", "\u{1f}", " ", "!", "#", "[", "]", "ä", "\u{7f}", "😀",
    ]
    for _ in 0..<20_000 {
        var text = ""
        for _ in 0..<(random.next() % 24) {
            // Mostly plain, so that eight bytes are passed at once.
            text += random.next() % 6 == 0 ? tokens[Int(random.next() % 14)] : "x"
        }
        var json = JSONWriter()
        json.string(text)
        let read = try json.bytes.withUnsafeBytes { bytes in
            var reader = JSONReader(bytes)
            let text = try reader.string().string
            try reader.end()
            return text
        }
        #expect(read == text)
        #expect(json.bytes.allSatisfy { $0 >= 0x20 })
    }
}

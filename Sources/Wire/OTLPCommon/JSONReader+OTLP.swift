// SPDX-License-Identifier: Apache-2.0
// Fields of OTLP's JSON.

import Base
import Telemetry

extension JSONReader {
    /// A string, kept in a batch's arena.
    mutating func keptString(_ arena: inout [UInt8]) throws(MalformedJSON) -> ByteSlice {
        let text = try string()
        let start = arena.count
        text.append(to: &arena)
        return ByteSlice(offset: start, count: arena.count - start)
    }

    /// An unsigned 32-bit integer as number or string; what does not fit is cut to the largest.
    mutating func uint32OrString() throws(MalformedJSON) -> UInt32 {
        UInt32(clamping: try uint64OrString())
    }

    /// A value of an enum as number or name. Unknown ones are 0, as an unset field is.
    mutating func enumeration(_ names: [String]) throws(MalformedJSON) -> UInt8 {
        if try peek() == .string {
            let text = try string()
            if let number = parseInt64(text.raw) {
                return names.indices.contains(Int(clamping: number)) ? UInt8(number) : 0
            }
            return UInt8(names.firstIndex { text.raw.elementsEqual($0.utf8) } ?? 0)
        }
        let number = try int64OrString()
        return names.indices.contains(Int(clamping: number)) ? UInt8(number) : 0
    }
}

// SPDX-License-Identifier: Apache-2.0
// Reads archives of the corpus.

import Base
import TestKit

/// Files of a `tar.zst`, by name.
struct Archive {
    var files: [String: [UInt8]] = [:]

    /// - Throws: `CompressionError`; nil when there is no such file.
    init?(corpusFile path: String) throws {
        guard let packed = Corpora.file(path) else { return nil }
        let bytes = try Zstd.decompress(packed, limit: 1 << 30)
        var offset = 0
        while offset + 512 <= bytes.count {
            func field(_ range: Range<Int>) -> String {
                String(
                    decoding: bytes[(offset + range.lowerBound)..<(offset + range.upperBound)]
                        .prefix { $0 != 0 }, as: UTF8.self)
            }
            let name = field(0..<100)
            guard !name.isEmpty,
                let size = Int(field(124..<136).filter { $0.isNumber }, radix: 8)
            else { break }
            let start = offset + 512
            guard start + size <= bytes.count else { break }
            if field(156..<157) != "5" {
                files[name.hasPrefix("./") ? String(name.dropFirst(2)) : name] =
                    Array(bytes[start..<(start + size)])
            }
            offset = start + (size + 511) / 512 * 512
        }
    }

    /// Rows of all CSV files in a folder by file name, without their header.
    func rows(in folder: String) -> [(file: String, header: [String], rows: [[String]])] {
        files.keys.filter { $0.hasPrefix(folder + "/") && $0.hasSuffix(".csv") }.sorted().map {
            let all = csv(files[$0] ?? [])
            return ($0, all.first ?? [], Array(all.dropFirst()))
        }
    }
}

/// Rows of RFC 4180 text.
func csv(_ bytes: [UInt8]) -> [[String]] {
    var rows: [[String]] = []
    var row: [String] = []
    var field: [UInt8] = []
    var isQuoted = false
    var i = 0
    func end(_ field: inout [UInt8], _ row: inout [String]) {
        row.append(String(decoding: field, as: UTF8.self))
        field.removeAll(keepingCapacity: true)
    }
    while i < bytes.count {
        let byte = bytes[i]
        if isQuoted {
            if byte == 0x22 {
                if i + 1 < bytes.count, bytes[i + 1] == 0x22 {
                    field.append(byte)
                    i += 1
                } else {
                    isQuoted = false
                }
            } else {
                field.append(byte)
            }
        } else if byte == 0x22 {
            isQuoted = true
        } else if byte == 0x2c {
            end(&field, &row)
        } else if byte == 0x0a {
            end(&field, &row)
            rows.append(row)
            row = []
        } else if byte != 0x0d {
            field.append(byte)
        }
        i += 1
    }
    if !field.isEmpty || !row.isEmpty {
        end(&field, &row)
        rows.append(row)
    }
    return rows
}

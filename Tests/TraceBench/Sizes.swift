// SPDX-License-Identifier: Apache-2.0
// Where the bytes of parts are.

import Base
import FoundationEssentials
import Storage

/// Prints bytes per span of each kind of section, of trace and of correlation parts.
func showSizes(_ path: String, spans: Int) throws {
    var bytes: [String: Int] = [:]
    var total: [String: Int] = [:]
    let folder = path + "/parts"
    for name in try FileManager.default.subpathsOfDirectory(atPath: folder).sorted() {
        let file = folder + "/" + name
        guard let data = FileManager.default.contents(atPath: file) else { continue }
        guard let reader = try? PartReader(SharedBytes(Array(data)), name: name) else { continue }
        total[reader.signal.name, default: 0] += data.count
        for section in reader.sections {
            // Families of sections share their upper byte.
            let kind = section.kind < 0x100 ? section.kind : section.kind & 0xff00
            bytes["\(reader.signal.name) section \(kind)", default: 0] += section.storedCount
        }
    }
    func perSpan(_ count: Int) -> String {
        let hundredths = count * 100 / max(1, spans)
        return "\(Double(hundredths) / 100) bytes/span"
    }
    for (name, count) in total.sorted(by: { $0.key < $1.key }) where count > 0 {
        print("\(name) parts", perSpan(count))
    }
    for (name, count) in bytes.sorted(by: { $0.key < $1.key }) {
        print("  \(name)", perSpan(count))
    }
}

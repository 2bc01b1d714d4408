// SPDX-License-Identifier: Apache-2.0
// Where programs are.

import Glibc

enum Binaries {
    /// The server that was built beside the laboratory.
    static var tern: String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = max(0, readlink("/proc/self/exe", &buffer, buffer.count))
        let own = String(
            decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return (own.lastIndex(of: "/").map { String(own[...$0]) } ?? "") + "tern"
    }

    /// Path of a program, looked for as a shell does; nil when there is none.
    static func find(_ name: String) -> String? {
        if name.contains("/") { return access(name, X_OK) == 0 ? name : nil }
        guard let path = getenv("PATH") else { return nil }
        return String(cString: path).split(separator: ":").map { $0 + "/" + name }
            .first { access($0, X_OK) == 0 }
    }
}

// SPDX-License-Identifier: Apache-2.0
// One request over a connection of its own.

/// An answer as it came.
package struct HTTPReply: Sendable {
    package var status: Int
    /// Names in lower case.
    package var headers: [String: String]
    package var body: [UInt8]

    package var text: String { String(decoding: body, as: UTF8.self) }

    /// Nil when the bytes are no answer.
    package init?(_ bytes: [UInt8]) {
        let gap = Array("\r\n\r\n".utf8)
        guard
            let end = bytes.indices.first(where: { bytes[$0...].starts(with: gap) })
        else { return nil }
        let lines = String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\r\n")
        let words = (lines.first ?? "").split(separator: " ")
        guard words.count > 1, let status = Int(words[1]) else { return nil }
        self.status = status
        headers = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            let value = parts[1].drop { $0 == " " }
            headers[parts[0].lowercased()] = String(value)
        }
        body = Array(bytes[(end + 4)...])
        if headers["transfer-encoding"]?.lowercased() == "chunked" {
            guard let whole = HTTPReply.joined(body) else { return nil }
            body = whole
        }
    }

    /// The body that chunks make up; nil when they do not end.
    private static func joined(_ chunked: [UInt8]) -> [UInt8]? {
        var rest = chunked[...]
        var whole: [UInt8] = []
        while let end = rest.firstIndex(of: 0x0d) {
            let digits = rest[..<end].prefix { $0 != UInt8(ascii: ";") }
            guard let size = Int(String(decoding: digits, as: UTF8.self), radix: 16),
                size >= 0, size <= rest.count - (end - rest.startIndex) - 2
            else { return nil }
            if size == 0 { return whole }
            whole += rest[(end + 2)..<(end + 2 + size)]
            rest = rest[(end + 2 + size)...].dropFirst(2)
        }
        return nil
    }
}

/// Sends a request and reads the answer until the server closes. Blocks: see `onThread`.
///
/// - Throws: when there is no answer in time.
package func exchange(
    port: Int, _ method: String, _ target: String, headers: [(String, String)] = [],
    body: [UInt8]? = nil, seconds: Double = 60
) throws -> HTTPReply {
    let connection = try RawConnection(port: port)
    defer { connection.close() }
    var head = "\(method) \(target) HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
    for (name, value) in headers { head += "\(name): \(value)\r\n" }
    if let body { head += "Content-Length: \(body.count)\r\n" }
    connection.send(Array((head + "\r\n").utf8) + (body ?? []))
    guard let bytes = connection.receiveAll(seconds: seconds), let reply = HTTPReply(bytes) else {
        throw NoAnswer(target: target)
    }
    return reply
}

/// The server said nothing that is HTTP.
package struct NoAnswer: Error {
    package var target: String
}

/// Percent-encodes everything but letters, digits and `-._~`.
package func percentEncoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var out: [UInt8] = []
    for byte in text.utf8 {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f, 0x7e: out.append(byte)
        default: out += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
    }
    return String(decoding: out, as: UTF8.self)
}

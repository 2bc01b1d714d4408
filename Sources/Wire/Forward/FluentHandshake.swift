// SPDX-License-Identifier: Apache-2.0
// The handshake before a forward connection with a shared key.

import Base

/// HELO from the server, PING from the client, PONG from the server. Source: "Forward Protocol
/// Specification v1", 2.1. Users and passwords beside the key are not asked for.
package enum FluentHandshake {
    /// What the client proves with.
    package struct Ping: Sendable {
        package var hostname: [UInt8]
        package var salt: [UInt8]
        /// Lower-case hexadecimal SHA-512 of salt, hostname, nonce and key.
        package var digest: [UInt8]

        /// Nil when the message is no PING.
        package init?(_ message: [UInt8]) {
            let parts = message.withUnsafeBytes { bytes -> [[UInt8]]? in
                var reader = MessagePackReader(bytes)
                do throws(MalformedBytes) {
                    guard case .array(6) = try reader.next() else { return nil }
                    var parts: [[UInt8]] = []
                    for _ in 0..<6 {
                        guard case .bytes(let part) = try reader.next() else { return nil }
                        parts.append(Array(part))
                    }
                    return parts
                } catch { return nil }
            }
            guard let parts, parts[0] == Array("PING".utf8) else { return nil }
            hostname = parts[1]
            salt = parts[2]
            digest = parts[3]
        }
    }

    /// `["HELO", {"nonce": …, "auth": "", "keepalive": true}]`.
    package static func hello(nonce: [UInt8]) -> [UInt8] {
        var out: [UInt8] = [0x92]
        append("HELO", to: &out)
        out.append(0x83)
        append("nonce", to: &out)
        FluentForward.appendText(nonce, to: &out)
        append("auth", to: &out)
        append("", to: &out)
        append("keepalive", to: &out)
        out.append(0xc3)
        return out
    }

    /// `["PONG", true, "", hostname, digest]`.
    package static func pong(hostname: [UInt8], digest: [UInt8]) -> [UInt8] {
        var out: [UInt8] = [0x95]
        append("PONG", to: &out)
        out.append(0xc3)
        append("", to: &out)
        FluentForward.appendText(hostname, to: &out)
        FluentForward.appendText(digest, to: &out)
        return out
    }

    private static func append(_ text: String, to out: inout [UInt8]) {
        FluentForward.appendText(Array(text.utf8), to: &out)
    }
}

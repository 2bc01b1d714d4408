// SPDX-License-Identifier: Apache-2.0
// Fluentd's forward protocol over TCP.

import Base
import Crypto
import Wire

/// One connection of a Fluentd or Fluent Bit.
///
/// With a shared key the sender proves first that it knows it. Source: "Forward Protocol
/// Specification v1", 2.1.
struct FluentConversation: StreamConversation {
    let writer: PatientLogWriter
    private let sharedKey: [UInt8]?
    private let nonce: [UInt8]
    private var isTrusted: Bool
    private var pending: [UInt8] = []

    init(_ writer: PatientLogWriter, sharedKey: [UInt8]?, random: any RandomSource) {
        self.writer = writer
        self.sharedKey = sharedKey
        isTrusted = sharedKey == nil
        var nonce: [UInt8] = []
        appendHexadecimal(random.next(), to: &nonce)
        appendHexadecimal(random.next(), to: &nonce)
        self.nonce = nonce
    }

    var greeting: [UInt8] { isTrusted ? [] : FluentHandshake.hello(nonce: nonce) }

    mutating func take(_ bytes: [UInt8], isAtEnd: Bool) async throws -> [UInt8] {
        pending += bytes
        var answer: [UInt8] = []
        let taken = try messages(&answer)
        if taken.isEmpty { return answer }
        let whole = Array(pending[..<(taken.last?.upperBound ?? 0)])
        pending.removeSubrange(..<whole.count)
        let chunks = try await store(whole, taken)
        for chunk in chunks { answer += FluentForward.ack(chunk) }
        return answer
    }

    /// Where the whole messages lie; a handshake among them is answered and taken out.
    private mutating func messages(_ answer: inout [UInt8]) throws -> [Range<Int>] {
        var found: [Range<Int>] = []
        var start = 0
        do {
            while start < pending.count,
                let end = try pending.withUnsafeBytes({
                    try FluentForward.messageEnd(in: $0, from: start)
                })
            {
                if !isTrusted {
                    answer += try trust(Array(pending[start..<end]))
                    pending.removeSubrange(..<end)
                    continue
                }
                found.append(start..<end)
                start = end
            }
        } catch let error as MalformedBytes {
            throw RefusedStream(description: "\(error)")
        }
        return found
    }

    private mutating func trust(_ message: [UInt8]) throws -> [UInt8] {
        guard let sharedKey else { return [] }
        guard let ping = FluentHandshake.Ping(message),
            FluentHandshake.isRight(ping, nonce: nonce, key: sharedKey)
        else { throw RefusedStream(description: "the sender does not know the shared key") }
        isTrusted = true
        return FluentHandshake.pong(ping, nonce: nonce, key: sharedKey)
    }

    /// Writes the lines and gives the chunks that are durable then.
    private func store(_ whole: [UInt8], _ messages: [Range<Int>]) async throws -> [[UInt8]] {
        do {
            let chunks = try whole.withUnsafeBytes { bytes in
                try messages.compactMap {
                    try FluentForward.chunk(of: UnsafeRawBufferPointer(rebasing: bytes[$0]))
                }
            }
            try await writer.write(whole.count, from: .forward) { now, limits in
                var forward = FluentForward(receivedNanos: now, limits: limits)
                try whole.withUnsafeBytes { bytes in
                    for message in messages {
                        try forward.decode(UnsafeRawBufferPointer(rebasing: bytes[message]))
                    }
                }
                return forward.logs
            }
            return chunks
        } catch let error as MalformedBytes {
            throw RefusedStream(description: "\(error)")
        }
    }
}

/// SHA-512 of texts one behind another, in lower-case hexadecimal.
private func digest(_ parts: [UInt8]...) -> [UInt8] {
    let digits = Array("0123456789abcdef".utf8)
    return SHA512.hash(data: parts.flatMap { $0 }).flatMap {
        [digits[Int($0 >> 4)], digits[Int($0 & 15)]]
    }
}

extension FluentHandshake {
    /// Name that the server gives itself.
    private static let serverName = Array("tern".utf8)

    static func isRight(_ ping: Ping, nonce: [UInt8], key: [UInt8]) -> Bool {
        let right = digest(ping.salt, ping.hostname, nonce, key)
        guard right.count == ping.digest.count else { return false }
        // Takes the same time wherever they differ.
        return zip(right, ping.digest).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }

    static func pong(_ ping: Ping, nonce: [UInt8], key: [UInt8]) -> [UInt8] {
        pong(
            hostname: serverName, digest: digest(ping.salt, serverName, nonce, key))
    }
}

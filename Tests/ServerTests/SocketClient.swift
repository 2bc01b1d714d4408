// SPDX-License-Identifier: Apache-2.0
// The client side of a WebSocket, as small as it can be.

import Base
import TestKit

/// A blocking WebSocket client over a bare connection.
final class SocketClient {
    struct Frame {
        var opcode: UInt8
        var payload: [UInt8]
        var text: String { String(decoding: payload, as: UTF8.self) }
        static let text: UInt8 = 1, close: UInt8 = 8, ping: UInt8 = 9
    }
    private let connection: RawConnection
    private var received: [UInt8] = []
    /// Head of the answer to the handshake.
    private(set) var head = ""

    init(port: Int, _ target: String, headers: [(String, String)] = []) throws {
        connection = try RawConnection(port: port)
        let more = headers.map { "\($0): \($1)\r\n" }.joined()
        connection.send(
            "GET \(target) HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                + "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\(more)\r\n")
        while true {
            if let end = (0..<max(0, received.count - 3)).first(where: {
                received[$0..<($0 + 4)].elementsEqual("\r\n\r\n".utf8)
            }) {
                head = String(decoding: received[..<end], as: UTF8.self)
                received.removeFirst(end + 4)
                return
            }
            guard let more = connection.receive(seconds: 20), !more.isEmpty else { return }
            received += more
        }
    }

    var isOpen: Bool { head.hasPrefix("HTTP/1.1 101") }

    /// What came behind the head of an answer that is no upgrade.
    func rest() -> String {
        received += connection.receive(seconds: 0.5) ?? []
        return String(decoding: received, as: UTF8.self)
    }

    /// The next frame; nil when none comes in time or the connection has ended.
    func next(seconds: Double = 20) -> Frame? {
        while true {
            if let frame = parsed() { return frame }
            guard let more = connection.receive(seconds: seconds), !more.isEmpty else {
                return nil
            }
            received += more
        }
    }

    /// The next frame of text; answers pings on the way. Nil when none comes in time.
    func nextText(seconds: Double = 20) -> String? {
        let clock = SystemClock()
        let deadline = clock.monotonicNanos + Int64(seconds * 1e9)
        while clock.monotonicNanos < deadline, let frame = next(seconds: seconds) {
            switch frame.opcode {
            case Frame.text: return frame.text
            case Frame.ping: send(opcode: 10, frame.payload)
            default: return nil
            }
        }
        return nil
    }

    private func parsed() -> Frame? {
        guard received.count >= 2 else { return nil }
        var start = 2
        var count = Int(received[1] & 0x7f)
        let wide = count == 126 ? 2 : count == 127 ? 8 : 0
        if wide > 0 {
            guard received.count >= 2 + wide else { return nil }
            count = received[2..<(2 + wide)].reduce(0) { $0 << 8 | Int($1) }
            start += wide
        }
        guard received.count >= start + count else { return nil }
        let frame = Frame(
            opcode: received[0] & 15, payload: Array(received[start..<(start + count)]))
        received.removeFirst(start + count)
        return frame
    }

    /// Sends a short frame, masked as clients must.
    func send(opcode: UInt8, _ payload: [UInt8]) {
        connection.send([0x80 | opcode, 0x80 | UInt8(payload.count), 0, 0, 0, 0] + payload)
    }

    func close() { connection.close() }
}

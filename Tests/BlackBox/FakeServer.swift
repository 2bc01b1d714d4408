// SPDX-License-Identifier: Apache-2.0
// A server that answers everything with the same bytes, or with nothing.

import Glibc
import Synchronization

/// Listens on a free port for as long as it lives.
final class FakeServer: Sendable {
    let port: Int
    private let descriptor: Int32
    private let requests = Mutex(0)
    private let heard = Mutex("")

    /// - Parameter answer: nil keeps clients waiting.
    init(answer: String?) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = self.descriptor
        let code = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, size) + listen(descriptor, 16)
                    + getsockname(descriptor, pointer, &size)
            }
        }
        guard code == 0 else { throw ProgramError(description: "no port: \(errno)") }
        port = Int(in_port_t(bigEndian: address.sin_port))
        serve(answer)
    }

    private func serve(_ answer: String?) {
        let descriptor = self.descriptor
        Task.detached { [weak self] in
            var open: [Int32] = []
            while let self {
                var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                guard poll(&waiting, 1, 0) > 0 else {
                    try? await Task.sleep(for: .milliseconds(10))
                    continue
                }
                let client = accept(descriptor, nil, nil)
                guard client >= 0 else { break }
                open.append(client)
                self.requests.withLock { $0 += 1 }
                guard let answer else { continue }
                var buffer = [UInt8](repeating: 0, count: 4096)
                let count = max(0, recv(client, &buffer, buffer.count, 0))
                self.heard.withLock {
                    $0 = String(decoding: buffer.prefix(count), as: UTF8.self)
                }
                _ = Array(answer.utf8).withUnsafeBytes {
                    Glibc.send(client, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
            }
            for client in open { close(client) }
        }
    }

    /// The head of the last request that was answered.
    var lastRequest: String { heard.withLock { $0 } }

    var requestCount: Int { requests.withLock { $0 } }

    deinit { close(descriptor) }
}

// SPDX-License-Identifier: Apache-2.0
// A TCP connection with nothing between the test and the bytes.

import Glibc

/// What went wrong with a socket.
package struct SocketError: Error, CustomStringConvertible {
    package var description: String
    init(_ what: String) { description = "\(what): \(String(cString: strerror(errno)))" }
}

/// A blocking connection to a port of this machine. Use it on a thread of its own: `onThread`.
package final class RawConnection {
    private var descriptor: Int32

    package init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw SocketError("socket") }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        let code = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard code == 0 else {
            Glibc.close(descriptor)
            throw SocketError("connect to \(port)")
        }
        var on: Int32 = 1
        setsockopt(
            descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    }

    deinit { close() }

    package func close() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
    }

    /// Sends everything; false when the other side has closed.
    @discardableResult
    package func send(_ bytes: [UInt8]) -> Bool {
        var offset = 0
        while offset < bytes.count {
            let sent = bytes[offset...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if sent <= 0 { return false }
            offset += sent
        }
        return true
    }

    @discardableResult
    package func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    /// Some bytes; empty at the end of the stream; nil when none came in time.
    package func receive(seconds: Double) -> [UInt8]? {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&waiting, 1, Int32(seconds * 1000)) > 0 else { return nil }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return count > 0 ? Array(buffer[..<count]) : []
    }

    /// Everything until the other side closes; nil when it does not in time.
    package func receiveAll(seconds: Double) -> [UInt8]? {
        var all: [UInt8] = []
        let deadline = seconds * 1e9 + monotonicNanos()
        while monotonicNanos() < deadline {
            guard let some = receive(seconds: (deadline - monotonicNanos()) / 1e9) else {
                return nil
            }
            if some.isEmpty { return all }
            all += some
        }
        return nil
    }

    private func monotonicNanos() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }
}

/// Runs blocking work on a thread of its own, not on the pool the server under test needs.
package func onThread<T: Sendable>(_ work: @escaping @Sendable () throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
        var thread = pthread_t()
        let entry = Unmanaged.passRetained(
            Entry { continuation.resume(with: Result { try work() }) })
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Entry>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            }, entry.toOpaque())
        guard code == 0 else {
            entry.release()
            continuation.resume(throwing: SocketError("pthread_create"))
            return
        }
        pthread_detach(thread)
    }
}

private final class Entry: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

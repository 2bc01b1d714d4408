// SPDX-License-Identifier: Apache-2.0
// The terminal itself: raw mode, size, bytes.

import Glibc

/// Standard input and output as a terminal.
package struct Terminal: Sendable {
    package init() {}

    package static var inputIsTerminal: Bool { isatty(STDIN_FILENO) == 1 }
    package static var outputIsTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

    /// What the output can show, from the terminal and the environment.
    package static func traits() -> TerminalTraits {
        guard outputIsTerminal else { return .plain }
        let (rows, columns) = size()
        return traits(rows: rows, columns: columns, environment: environment)
    }

    /// `TERM` says whether there is more than lines of text, `NO_COLOR` (https://no-color.org)
    /// takes colour away, the locale says whether UTF-8 is understood.
    static func traits(
        rows: Int, columns: Int, environment: (String) -> String?
    ) -> TerminalTraits {
        let term = environment("TERM") ?? "dumb"
        let locale = environment("LC_ALL") ?? environment("LC_CTYPE") ?? environment("LANG") ?? ""
        let utf8 = locale.uppercased().contains("UTF-8") || locale.uppercased().contains("UTF8")
        let isDumb = term == "dumb" || term == "unknown"
        var traits = TerminalTraits(
            isTerminal: true, columns: columns,
            colour: !isDumb && environment("NO_COLOR") == nil, unicode: utf8)
        traits.rows = rows
        traits.isDumb = isDumb
        return traits
    }

    package static func environment(_ name: String) -> String? {
        guard let value = getenv(name) else { return nil }
        let text = String(cString: value)
        return text.isEmpty ? nil : text
    }

    /// Rows and columns of the terminal; 24 and 80 when it does not say. Not below 4 and 20.
    package static func size() -> (rows: Int, columns: Int) {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
            return (24, 80)
        }
        return (max(4, size.ws_row > 0 ? Int(size.ws_row) : 24), max(20, Int(size.ws_col)))
    }

    /// Writes text to standard output at once, whatever its size.
    ///
    /// - Returns: false when nobody reads it any more.
    @discardableResult
    package static func write(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { write(UnsafeRawBufferPointer($0), to: STDOUT_FILENO) }
    }

    static func write(_ buffer: UnsafeRawBufferPointer, to descriptor: Int32) -> Bool {
        var offset = 0
        while offset < buffer.count, let base = buffer.baseAddress {
            let n = Glibc.write(descriptor, base + offset, buffer.count - offset)
            if n < 0 && errno == EINTR { continue }
            if n < 0 && errno == EAGAIN {
                var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&wait, 1, 1000)
                continue
            }
            if n <= 0 { return false }
            offset += n
        }
        return true
    }

    /// Writes a message to standard error.
    package static func complain(_ text: String) {
        let line = Array((text + "\n").utf8)
        line.withUnsafeBytes { _ = write($0, to: STDERR_FILENO) }
    }
}

/// Raw mode for as long as the value lives; the former settings return with `restore`.
struct RawMode {
    private var saved: termios

    /// Nil when standard input is no terminal.
    init?() {
        var settings = termios()
        guard tcgetattr(STDIN_FILENO, &settings) == 0 else { return nil }
        saved = settings
        cfmakeraw(&settings)
        settings.c_oflag |= tcflag_t(OPOST)
        withUnsafeMutableBytes(of: &settings.c_cc) { characters in
            characters[Int(VMIN)] = 1
            characters[Int(VTIME)] = 0
        }
        // What was typed while a query ran is kept.
        guard tcsetattr(STDIN_FILENO, TCSADRAIN, &settings) == 0 else { return nil }
    }

    mutating func restore() { tcsetattr(STDIN_FILENO, TCSADRAIN, &saved) }

    enum Input: Equatable {
        case byte(UInt8)
        /// The wait is over, or a signal came.
        case nothing
        /// Something was written to the waker.
        case woken
        case ended
    }

    /// One byte, waiting so many milliseconds for it; -1 = for ever.
    static func read(waitMillis: Int32, waker: Waker? = nil) -> Input {
        var descriptors = [pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)]
        if let waker {
            descriptors.append(
                pollfd(fd: waker.readEnd, events: Int16(POLLIN), revents: 0))
        }
        let ready = poll(&descriptors, nfds_t(descriptors.count), waitMillis)
        guard ready > 0 else { return ready < 0 && errno != EINTR ? .ended : .nothing }
        if let waker, descriptors[1].revents != 0 {
            waker.drain()
            if descriptors[0].revents == 0 { return .woken }
        }
        var byte: UInt8 = 0
        let n = Glibc.read(STDIN_FILENO, &byte, 1)
        return n == 1 ? .byte(byte) : .ended
    }
}

/// A pipe that ends a wait for keys: names have arrived, lines have come.
final class Waker: Sendable {
    let readEnd: Int32
    private let writeEnd: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        if pipe(&ends) == 0 {
            for end in ends {
                _ = fcntl(end, F_SETFL, O_NONBLOCK)
                _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            }
        } else {
            // Without the pipe keys still end every wait.
            ends = [-1, -1]
        }
        readEnd = ends[0]
        writeEnd = ends[1]
    }

    deinit {
        if readEnd >= 0 { close(readEnd) }
        if writeEnd >= 0 { close(writeEnd) }
    }

    /// May be called from any thread. A full pipe wakes as well as one more byte would.
    func wake() {
        var byte: UInt8 = 1
        _ = Glibc.write(writeEnd, &byte, 1)
    }

    func drain() {
        var bytes = [UInt8](repeating: 0, count: 256)
        while Glibc.read(readEnd, &bytes, bytes.count) == bytes.count {}
    }
}

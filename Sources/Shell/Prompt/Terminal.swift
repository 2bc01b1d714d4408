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
        let term = environment("TERM") ?? "dumb"
        let locale = environment("LC_ALL") ?? environment("LC_CTYPE") ?? environment("LANG") ?? ""
        let utf8 = locale.uppercased().contains("UTF-8") || locale.uppercased().contains("UTF8")
        return TerminalTraits(
            isTerminal: true, columns: columns(),
            colour: term != "dumb" && environment("NO_COLOR") == nil, unicode: utf8)
    }

    package static func environment(_ name: String) -> String? {
        guard let value = getenv(name) else { return nil }
        let text = String(cString: value)
        return text.isEmpty ? nil : text
    }

    /// Width of the terminal in columns; 80 when it does not say.
    package static func columns() -> Int {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// Writes text to standard output at once, whatever its size.
    package static func write(_ text: String) {
        var text = text
        text.withUTF8 { buffer in
            var offset = 0
            while offset < buffer.count, let base = buffer.baseAddress {
                let n = Glibc.write(STDOUT_FILENO, base + offset, buffer.count - offset)
                if n < 0 && errno == EINTR { continue }
                if n <= 0 { return }
                offset += n
            }
        }
    }

    /// Writes a message to standard error.
    package static func complain(_ text: String) {
        let line = Array((text + "\n").utf8)
        line.withUnsafeBytes { _ = Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
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
        guard tcsetattr(STDIN_FILENO, TCSAFLUSH, &settings) == 0 else { return nil }
    }

    mutating func restore() { tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved) }

    /// One byte, or nil when none came within the wait (milliseconds; -1 = for ever) or at the end.
    static func readByte(waitMillis: Int32) -> (byte: UInt8?, ended: Bool) {
        var descriptor = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        let ready = poll(&descriptor, 1, waitMillis)
        guard ready > 0 else { return (nil, ready < 0 && errno != EINTR) }
        var byte: UInt8 = 0
        let n = read(STDIN_FILENO, &byte, 1)
        return n == 1 ? (byte, false) : (nil, true)
    }
}

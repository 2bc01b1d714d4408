// SPDX-License-Identifier: Apache-2.0
// Front door of Shell.

import Base

/// Everything a person types at: one-shot commands and the interactive prompt.
///
/// Shell talks to a server over HTTP and nothing else, so it works against a remote one exactly as
/// against a local one. Results become a `ResultTable` (or a waterfall), which an `OutputMode`
/// prints: aligned and coloured on a terminal, plain TSV or JSON lines in a pipe. Text that comes
/// from data is made harmless before it reaches a terminal.
package enum Shell {}

/// How a command ends. Values are the process' exit code.
package enum ShellExit: Int32, Sendable {
    case ok = 0, failure = 1, usage = 2, authentication = 3, partial = 4, cancelled = 5
}

/// An error to print as it stands, with the code to exit with.
package struct ShellError: Error, Sendable, Equatable, CustomStringConvertible {
    package var description: String
    package var exit: ShellExit
    package init(_ description: String, _ exit: ShellExit = .failure) {
        self.description = description
        self.exit = exit
    }
}

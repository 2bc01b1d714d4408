// SPDX-License-Identifier: Apache-2.0
// Front door of Shell.

/// The terminal: prompt, tables and waterfalls; talks HTTP only.
package enum Shell {}

/**
 * A real browser signs in at the sandbox's own pages; more of it is in `login_deep_test.ts`. The
 * pictures are kept in `.cache/screenshots`.
 *
 * @module
 */

import { testCodeLogin } from "./_code_login.ts";

testCodeLogin("deno");

// What the page under test loads: the library as an application bundles it, within reach of the test.

import { Amplify } from 'aws-amplify';
import * as auth from 'aws-amplify/auth';

globalThis.app = { Amplify, auth };

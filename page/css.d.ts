/** Style sheets that a module imports: `page/build.ts` puts them into one file. */
declare module '*.css';

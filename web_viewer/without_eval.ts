import type { Plugin } from "vite";

/**
 * Basis Universal's transcoder, as Emscripten writes it, makes the functions that call into WebAssembly out of strings, which
 * a content security policy forbids. Two closures do the same; what they replace is looked for to the letter, so that an
 * update of three.js that changes it fails the build.
 */
const REPLACED: [string, string][] = [
  // embind's craftInvokerFunction: wire the arguments, call, destroy what wiring made, wire the result back.
  [
    "newFunc(Function,args)(...closureArgs)",
    `(function(...given){
      if(given.length!==argCount-2)throwBindingError("function "+humanName+" called with "+given.length+" arguments, expected "+(argCount-2));
      var destructors=needsDestructorStack?[]:null,wired=isClassMethodFunc?[argTypes[1]["toWireType"](destructors,this)]:[];
      for(var i=0;i<argCount-2;++i)wired.push(argTypes[i+2]["toWireType"](destructors,given[i]));
      var rv=cppInvokerFunc(cppTargetFunc,...wired);
      if(needsDestructorStack)runDestructors(destructors);
      else for(var i=isClassMethodFunc?1:2,first=isClassMethodFunc?1:2;i<argTypes.length;++i)
        if(argTypes[i].destructorFunction!==null)argTypes[i].destructorFunction(wired[i-first]);
      if(returns)return argTypes[0]["fromWireType"](rv);
    })`,
  ],
  // emval's method callers: read the arguments from memory and call, or construct.
  [
    "newFunc(Function,params)(...args)",
    `(function(obj,func,destructorsRef,at){
      var given=[],offset=0;
      for(var i=0;i<argCount;++i){given.push(types[i]["readValueFromPointer"](at+offset));offset+=types[i]["argPackAdvance"]}
      var rv=kind===1?reflectConstruct(func,given):func.call(obj,...given);
      if(!retType.isVoid)return emval_returnValue(retType,destructorsRef,rv);
    })`,
  ],
  // Where there is a globalThis, which is everywhere, this is not reached.
  ['return function(){return Function}()("return this")()', "return self"],
];

export function withoutEval(): Plugin {
  return {
    name: "without-eval",
    enforce: "pre",
    transform(code, id) {
      // The bundler asks for stand-ins of the module too, with a query behind its name.
      if (!id.endsWith("/basis_transcoder.js")) return null;
      let out = code;
      for (const [made, closure] of REPLACED) {
        if (out.split(made).length !== 2) throw new Error(`${id} no longer holds “${made}” once; see without_eval.ts`);
        out = out.replace(made, () => closure);
      }
      return { code: out, map: null };
    },
  };
}
